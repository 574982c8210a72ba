"""The plot of latencies: which share of requests was answered within a time, and which not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from offramp.report.colours import Style, strategy_styles
from offramp.report.figure import mark_deadlines, new_figure, use_plain_ticks
from sim.report.contenders import Contender
from sim.report.curves import Curve, curve_over_seeds
from sim.world.histogram import RATIO

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_latencies"]

_RARE = ((1e-2, "1 in 100"), (1e-3, "1 in 1000"))
_RAREST = 1e-7
_BEYOND = 1.2  # lines go on so much beyond the slowest answer


def draw_latencies(contenders: Sequence[Contender], deadlines_s: Sequence[float]) -> Figure:
    """Draw the share answered within a time above, and below it the share that was not.

    The line is of all seeds together, the band behind it goes from the least to the most of them.
    """
    styles = strategy_styles([one.name for one in contenders])
    figure = new_figure(7.4)
    within, beyond = figure.subplots(2, sharex=True)
    curves = {one.name: curve_over_seeds(one.figures()) for one in contenders}
    end_s = max((curve.times_s[-1] for curve in curves.values() if curve), default=1.0) * _BEYOND
    for name in sorted(curves, key=lambda name: styles[name].width):  # one's own on top
        curve = curves[name]
        if curve is not None:
            _draw(within, curve, styles[name], end_s, missing=False)
            _draw(beyond, curve, styles[name], end_s, missing=True)
    for axes in (within, beyond):
        mark_deadlines(axes, deadlines_s, named=axes is within)
    within.set(ylim=(0, 102), ylabel="answered within it (% of requests)")
    most = max(sum(figures["requests"] for figures in one.figures()) for one in contenders)
    _scale(beyond, max(1 / max(most, 1), _RAREST))
    _legend(figure, contenders, styles)
    return figure


def _draw(axes: Any, curve: Curve, style: Style, end_s: float, *, missing: bool) -> None:
    """Draw a curve from the lower edge of its first bin on, and level from its last one on."""
    times_ms = np.array([curve.times_s[0] / RATIO, *curve.times_s, end_s]) * 1e3

    def shown(share: Any) -> Any:
        whole = np.array([0.0, *share, share[-1]])
        return np.where(whole < 1 - 1e-12, 1 - whole, 0.0) if missing else whole * 100

    if not np.array_equal(curve.least, curve.most):
        axes.fill_between(
            times_ms,
            shown(curve.least),
            shown(curve.most),
            step="post",
            color=style.colour,
            alpha=0.13,
            linewidth=0,
        )
    axes.step(
        times_ms,
        shown(curve.share),
        where="post",
        color=style.colour,
        linestyle=style.line,
        linewidth=style.width,
    )


def _scale(beyond: Any, rarest: float) -> None:
    beyond.set_xscale("log")
    use_plain_ticks(beyond.xaxis)
    beyond.set_yscale("log", nonpositive="clip")
    use_plain_ticks(beyond.yaxis)
    beyond.set(ylim=(rarest / 1.5, 1.2), xlabel="latency (ms, logarithmic)")
    beyond.set_ylabel("not answered within it\n(share of requests, logarithmic)")
    for share, name in _RARE:
        if share > rarest:
            beyond.axhline(share, color="#BBBBBB", linewidth=1)
            beyond.annotate(
                name,
                (0.0, share),
                (4, 2),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                fontsize=8,
                color="#666666",
            )


def _legend(figure: Any, contenders: Sequence[Contender], styles: dict[str, Style]) -> None:
    from matplotlib.lines import Line2D

    keys = [
        Line2D([], [], color=s.colour, linestyle=s.line, linewidth=s.width, label=f" {one.name}")
        for one in contenders
        for s in (styles[one.name],)
    ]
    figure.legend(handles=keys, loc="outside right center", fontsize=9, handlelength=3.2)

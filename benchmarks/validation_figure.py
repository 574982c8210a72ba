"""The figure: predicted against measured quantiles, and both distributions of each case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.validation_score import QUANTILES, Score
from offramp.report.figure import new_figure, plot_style, to_svg, use_plain_ticks

__all__ = ["BAND", "draw"]

BAND = 0.1
"""The error that is allowed."""

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
_MARKS = {"median": "o", "p95": "^"}
_COLUMNS = 2


def draw(scores: Sequence[Score]) -> str:
    """Return the figure as an ``svg`` element."""
    rows = -(-len(scores) // _COLUMNS)
    places: Any = [["points", *(f"{row}/{at}" for at in range(_COLUMNS))] for row in range(rows)]
    with plot_style():
        figure = new_figure(2.7 * rows)
        axes = figure.subplot_mosaic(places, width_ratios=[1.3, 1, 1])
        _draw_points(axes["points"], scores)
        for at in range(rows * _COLUMNS):
            panel = axes[f"{at // _COLUMNS}/{at % _COLUMNS}"]
            if at < len(scores):
                _draw_shares(panel, scores[at], _COLOURS[at % len(_COLOURS)])
            else:
                panel.set_axis_off()
        return to_svg(figure, "validation")


def _draw_points(axes: Any, scores: Sequence[Score]) -> None:
    """Draw each case's quantiles, with the diagonal and the band around it."""
    every_s = [score.measured_s(q) for score in scores for q in QUANTILES.values()]
    ends_ms = np.array([min(every_s) / 1.5, max(every_s) * 1.5]) * 1e3
    axes.fill_between(
        ends_ms, ends_ms * (1 - BAND), ends_ms * (1 + BAND), color="#E3E3E3", label="within 10%"
    )
    axes.plot(ends_ms, ends_ms, color="#9A9A9A", linewidth=1)
    for at, score in enumerate(scores):
        for name, q in QUANTILES.items():
            axes.plot(
                score.measured_s(q) * 1e3,
                score.predicted_s(q) * 1e3,
                _MARKS[name],
                color=_COLOURS[at % len(_COLOURS)],
                markersize=8,
            )
    for name, mark in _MARKS.items():
        axes.plot([], [], mark, color="#555555", markersize=8, label=name)
    axes.set(xscale="log", yscale="log", xlim=ends_ms, ylim=ends_ms)
    axes.set(xlabel="measured (ms)", ylabel="predicted (ms)")
    for axis in (axes.xaxis, axes.yaxis):
        use_plain_ticks(axis)
    axes.legend(loc="upper left")


def _draw_shares(axes: Any, score: Score, colour: str) -> None:
    """Draw the share of answers within a time, live and simulated, all rounds together."""
    measured_s = [t for one in score.rounds for t in one.measured_s]
    predicted_s = [t for one in score.rounds for t in one.predicted_s]
    for times_s, style in ((measured_s, "-"), (predicted_s, "--")):
        ordered_ms = np.sort(times_s) * 1e3
        shares = np.arange(1, len(ordered_ms) + 1) / len(ordered_ms) * 100
        ink = colour if style == "-" else "#000000"
        label = "live" if style == "-" else "simulated"
        axes.step(ordered_ms, shares, style, where="post", color=ink, linewidth=1.6, label=label)
    axes.set(xscale="log", ylim=(0, 101), ylabel="answers (%)", xlabel="latency (ms)")
    axes.set_title(score.case, fontsize=10)
    use_plain_ticks(axes.xaxis)
    axes.legend(loc="lower right", fontsize=8)

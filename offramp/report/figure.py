"""Figures: matplotlib's, without a screen, turned into SVG that can stand inside HTML."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, Literal

from offramp.quantities import say_time

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "WIDTH_INCH",
    "fit_scale",
    "mark_deadlines",
    "new_figure",
    "plot_style",
    "to_svg",
    "use_plain_ticks",
]

WIDTH_INCH = 10.0
_WIDE, _VERY_WIDE = 6.0, 200.0
"""Ratios from which on a logarithmic axis has ticks enough, and from which on more than enough."""

_INK, _GRID = "#333333", "#E3E3E3"
_STYLE: Any = {
    "axes.edgecolor": "#9A9A9A",
    "axes.grid": True,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "font.family": "sans-serif",
    "font.size": 10.0,
    "grid.color": _GRID,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.color": _INK,
    "text.parse_math": False,  # a name with a $ is a name
    "xtick.color": _INK,
    "ytick.color": _INK,
}


@contextmanager
def plot_style() -> Iterator[None]:
    """Apply the report's style to the figures made and turned into SVG within."""
    from matplotlib import rc_context

    with rc_context(_STYLE):
        yield


def new_figure(height_inch: float) -> Figure:
    """Return an empty figure of the report's width."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH_INCH, height_inch), layout="constrained")


def to_svg(figure: Figure, name: str) -> str:
    """Return the figure as an ``svg`` element; ``name`` keeps ids of several figures apart.

    Equal figures give equal text: no date, and ids derived from ``name``.
    """
    from matplotlib import rc_context

    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    buffer = io.StringIO()
    _settle(figure)
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    return re.sub(r'<g id="[^"]*"', "<g", text)  # groups that nothing refers to


def _settle(figure: Figure) -> None:
    """Lay a figure out, and round: the solver's last digits differ from one time to the next."""
    engine = figure.get_layout_engine()
    if engine is None:
        return
    engine.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = (round(float(v), 4) for v in axes.get_position().bounds)
        axes.set_position((left, bottom, width, height))


def fit_scale(axes: Any, axis: Literal["x", "y"], values: Iterable[float]) -> None:
    """Make an axis logarithmic with plain ticks where its values span much, else linear."""
    known = [value for value in values if isfinite(value) and value > 0]
    if known and max(known) > _WIDE * min(known):
        axes.set(**{f"{axis}scale": "log"})
        _set_ticks(getattr(axes, f"{axis}axis"), max(known) / min(known))


def mark_deadlines(axes: Any, deadlines_s: Iterable[float], *, named: bool = True) -> None:
    """Draw a line at each deadline of an axis of milliseconds, and its name above all curves.

    Each name has a row of its own: deadlines may be close to each other.
    """
    for row, deadline_s in enumerate(sorted(set(deadlines_s))):
        axes.axvline(deadline_s * 1e3, color="#555555", linewidth=1)
        if named:
            axes.annotate(
                f"deadline {say_time(deadline_s)}",
                (deadline_s * 1e3, 1.0),
                (0, 3 + 11 * row),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )


def use_plain_ticks(axis: Any) -> None:
    """Write 10, 20, 50 on a logarithmic axis, or 10, 100, 1000 where it spans more."""
    low, high = axis.get_data_interval()
    _set_ticks(axis, high / low if 0 < low < high < inf else 1.0)


def _set_ticks(axis: Any, ratio: float) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(10, subs=(1,) if ratio > _VERY_WIDE else (1, 2, 5)))
    plain = FuncFormatter(lambda value, _: f"{Decimal(f'{value:g}'):f}")
    axis.set_major_formatter(plain)
    axis.set_minor_formatter(NullFormatter())

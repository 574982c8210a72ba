"""The plot that sets strategies side by side over time: strips of where was cut, and of latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from offramp.quantities import figure
from offramp.report.colours import strategy_styles
from offramp.report.figure import new_figure
from sim.report.courses import Course
from sim.report.timelines import draw_bandwidth, shade_dark

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_side_by_side"]

_CUTS = ("#0072B2", "#6BB3DC", "#BFDDF0", "#F6D9BF", "#F0A875", "#D55E00")
_CUT_NAMES = ("all at the server", "", "", "", "", "all on the device")
_CLASSES = 7  # of latency


def draw_side_by_side(courses: Mapping[str, Course], segments: int) -> Figure:
    """Draw one device under each strategy: its link, and a strip each for the cut and latency."""
    first = next(iter(courses.values()))
    figure = new_figure(3.3 + 0.42 * len(courses))
    heights = (1.6, 0.5 + 0.21 * len(courses), 0.5 + 0.21 * len(courses))
    bandwidth, cuts, latencies = figure.subplots(3, sharex=True, height_ratios=heights)
    shade_dark(bandwidth, first)
    draw_bandwidth(bandwidth, first, believed=False)
    _draw_strips(cuts, courses, {name: _cut_classes(c, segments) for name, c in courses.items()})
    edges_ms = _classes([course.latency_s * 1e3 for course in courses.values()])
    colours = _latency_colours(len(edges_ms) + 1)
    _draw_strips(
        latencies,
        courses,
        {
            name: [
                None if np.isnan(ms) else colours[int(np.searchsorted(edges_ms, ms))]
                for ms in course.latency_s * 1e3
            ]
            for name, course in courses.items()
        },
    )
    cuts.set_title("where it is cut", loc="left", fontsize=10, fontweight="bold", pad=3)
    latencies.set_title("mean latency", loc="left", fontsize=10, fontweight="bold", pad=3)
    _explain_colours(cuts, [(c, n) for c, n in zip(_CUTS, _CUT_NAMES, strict=True)])
    _explain_colours(latencies, list(zip(colours, _class_names(edges_ms), strict=True)))
    end_s = max(course.times_s[-1] for course in courses.values())
    latencies.set(xlim=(first.times_s[0], end_s), xlabel="time (s)")
    return figure


def _draw_strips(
    axes: Any, courses: Mapping[str, Course], colours: Mapping[str, Sequence[str | None]]
) -> None:
    """Draw a row of coloured stretches for each strategy, in their order from above."""
    styles = strategy_styles(list(courses))
    for row, (name, course) in enumerate(courses.items()):
        spans, shades, start = [], [], 0
        for colour, stretch in groupby(colours[name]):
            end = start + len(list(stretch))
            if colour is not None:
                spans.append((course.times_s[start], course.times_s[end] - course.times_s[start]))
                shades.append(colour)
            start = end
        axes.broken_barh(spans, (row - 0.42, 0.84), facecolors=shades)
    axes.set_yticks(range(len(courses)), [f" {name}" for name in courses], fontsize=9)
    for label, name in zip(axes.get_yticklabels(), courses, strict=True):
        label.set_fontweight("bold" if styles[name].width > 2.5 else "normal")
    axes.set_ylim(len(courses) - 0.4, -0.6)
    axes.grid(visible=False)


def _cut_classes(course: Course, segments: int) -> list[str | None]:
    """Return a colour for each step: blue where the server does all, warm where the device does."""
    inner = len(_CUTS) - 2

    def colour(cut: float) -> str | None:
        if np.isnan(cut):
            return None
        if cut in (0, segments):
            return _CUTS[0 if cut == 0 else -1]
        return _CUTS[1 + min(int(cut / segments * inner), inner - 1)]

    return [colour(float(cut)) for cut in course.cuts]


def _classes(latencies_ms: Sequence[Any]) -> list[float]:
    """Return bounds of classes that are alike in ratio, rounded to two digits."""
    known = np.concatenate(latencies_ms)
    known = known[np.isfinite(known) & (known > 0)]
    if not len(known):
        return []
    bounds = np.geomspace(known.min(), known.max(), _CLASSES + 1)[1:-1]
    rounded = sorted({float(f"{bound:.2g}") for bound in bounds})
    return [bound for bound in rounded if known.min() < bound < known.max()]


def _class_names(edges_ms: Sequence[float]) -> list[str]:
    if not edges_ms:
        return ["any"]
    between = [f"up to {figure(edge)} ms" for edge in edges_ms]
    return [*between, f"above {figure(edges_ms[-1])} ms"]


def _latency_colours(count: int) -> list[str]:
    """Return colours that grow darker, and differ in lightness to all eyes."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    shades = np.linspace(0.98, 0.02, count) if count > 1 else [0.6]
    return [to_hex(colormaps["cividis"](shade)) for shade in shades]


def _explain_colours(axes: Any, named: Sequence[tuple[str, str]]) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(color=colour, label=name or " ") for colour, name in named]
    axes.legend(
        handles=patches,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        fontsize=9,
        labelspacing=0.15,
        handleheight=1.0,
    )

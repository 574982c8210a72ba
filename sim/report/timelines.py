"""The plot of a timeline: bandwidth and what was believed of it, the cut, and latency."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from offramp.report.figure import fit_scale, new_figure
from sim.report.courses import Course

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_bandwidth", "draw_course", "shade_dark"]

_TRUE, _BELIEVED, _DARK, _LATE = "#7F7F7F", "#9467BD", "#E4E4E4", "#D62728"
_NOTHING_SENT = "#D55E00"
_LEVELS = ("#0072B2", "#009E73", "#56B4E9", "#CC79A7", "#E69F00", "#332288", "#000000")


def draw_course(course: Course, segments: int, deadline_s: float) -> Figure:
    """Draw one device under one strategy: bandwidth above, the cut, and latency below."""
    figure = new_figure(5.6)
    figure.set_layout_engine(None)  # takes half of the time, and panels shall align
    figure.subplots_adjust(left=0.09, right=0.84, top=0.97, bottom=0.09, hspace=0.16)
    bandwidth, cut, latency = figure.subplots(3, sharex=True, height_ratios=(1, 1, 1.2))
    for axes in (bandwidth, cut, latency):
        shade_dark(axes, course)
    draw_bandwidth(bandwidth, course, believed=True)
    _draw_cut(cut, course, segments)
    _draw_latency(latency, course, deadline_s)
    latency.set(xlim=(course.times_s[0], course.times_s[-1]), xlabel="time (s)")
    figure.align_ylabels()
    return figure


def shade_dark(axes: Any, course: Course) -> None:
    """Mark the steps in which the link served nothing for at least a part."""
    spans = [
        (course.times_s[start], course.times_s[end] - course.times_s[start])
        for start, end in _stretches(course.dark)
    ]
    if spans:
        whole = axes.get_xaxis_transform()
        axes.broken_barh(spans, (0, 1), transform=whole, facecolor=_DARK, linewidth=0, zorder=0)


def draw_bandwidth(axes: Any, course: Course, *, believed: bool) -> None:
    """Draw the true rate of the link, and what was believed of it if that is wanted."""
    true_mbps = course.bandwidth_bps / 1e6
    if np.isfinite(true_mbps).any():
        _steps(axes, course, true_mbps, color=_TRUE, linewidth=3, alpha=0.6, label="true")
    if believed and np.isfinite(course.believed_bps).any():
        believed_mbps = course.believed_bps / 1e6
        _steps(axes, course, believed_mbps, color=_BELIEVED, linewidth=1.4, label="believed")
    shown = np.concatenate([true_mbps, course.believed_bps / 1e6] if believed else [true_mbps])
    fit_scale(axes, "y", shown)
    axes.set_ylabel("bandwidth\n(Mbit/s)")
    _explain_lines(axes, dark=bool(course.dark.any()))


def _draw_cut(axes: Any, course: Course, segments: int) -> None:
    _steps(axes, course, course.cuts, color="#BDBDBD", linewidth=1)
    levels = sorted({level for level in course.levels if level})
    named = {"": ("sends nothing", _NOTHING_SENT)} | {
        level: (level, _LEVELS[at % len(_LEVELS)]) for at, level in enumerate(levels)
    }
    for level, (name, colour) in named.items():
        lines = [
            (course.cuts[start], course.times_s[start], course.times_s[end])
            for start, end in _same_plan(course)
            if course.levels[start] == level
        ]
        if lines:
            axes.hlines(*zip(*lines, strict=True), color=colour, linewidth=4, label=name)
    axes.set(ylim=(-0.08 * segments, 1.08 * segments), yticks=[0, segments // 2, segments])
    axes.set_ylabel("segments run\non the device")
    _explain_lines(axes, dark=False)


def _same_plan(course: Course) -> Iterator[tuple[int, int]]:
    """Yield where stretches of one cut and level begin and end."""
    start = 0
    for _, stretch in groupby(zip(course.cuts.tolist(), course.levels, strict=True)):
        end = start + len(list(stretch))
        yield start, end
        start = end


def _draw_latency(axes: Any, course: Course, deadline_s: float) -> None:
    means_ms, worst_ms = course.latency_s * 1e3, course.worst_s * 1e3
    axes.stairs(
        worst_ms, course.times_s, baseline=means_ms, fill=True, color="#D5D5D5", label="slowest"
    )
    _steps(axes, course, means_ms, color="#000000", linewidth=1.4, label="mean")
    axes.axhline(deadline_s * 1e3, color="#555555", linewidth=1, linestyle="--", label="deadline")
    starts = np.flatnonzero(course.late > 0)
    if len(starts):
        axes.plot(
            (course.times_s[starts] + course.times_s[starts + 1]) / 2,
            np.full(len(starts), 1.04),
            "v",
            ms=4,
            color=_LATE,
            transform=axes.get_xaxis_transform(),
            clip_on=False,
            label="late or none",
        )
    fit_scale(axes, "y", np.concatenate([means_ms, worst_ms, [deadline_s * 1e3]]))
    axes.set_ylabel("latency\n(ms)")
    _explain_lines(axes, dark=False)


def _steps(axes: Any, course: Course, values: Any, **look: Any) -> None:
    axes.stairs(values, course.times_s, baseline=None, **look)


def _explain_lines(axes: Any, *, dark: bool) -> None:
    from matplotlib.patches import Patch

    handles, labels = axes.get_legend_handles_labels()
    if dark:
        handles, labels = [*handles, Patch(color=_DARK)], [*labels, "nothing served"]
    if handles:
        axes.legend(handles, labels, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)


def _stretches(flags: Any) -> list[tuple[int, int]]:
    """Return where runs of true flags begin and end."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(int), [0]))))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]

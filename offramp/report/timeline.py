"""Timelines: what the link was, what the device chose, and how each sample fared, over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from offramp.report.colours import Mark, answerer_marks
from offramp.report.figure import new_figure, plot_style, to_svg, use_plain_ticks
from offramp.report.lines import ResultLine
from offramp.report.runs import Run
from offramp.report.summary import answerers

__all__ = ["plot_run", "plot_side_by_side"]

_POOR, _OUTAGE = "#F1F1EC", "#D9D9D9"
_LEAST_S = 1e-3  # an axis has some length
_TRUE, _BELIEVED = "#7F7F7F", "#9467BD"


def plot_run(run: Run) -> str:
    """Draw one run: bandwidth on top, the chosen cut below it, and every sample's latency."""
    with plot_style():
        figure = new_figure(6.6)
        bandwidth, cut, latency = figure.subplots(3, sharex=True, height_ratios=(1.1, 1, 1.9))
        for axes in (bandwidth, cut, latency):
            _draw_phases(axes, run, named=axes is bandwidth)
        _draw_bandwidth(bandwidth, run)
        _draw_cut(cut, run)
        _draw_latencies(latency, run)
        latency.set_xlabel("time since the run's start (s)")
        latency.set_xlim(0, max(run.end_s, _LEAST_S))
        figure.align_ylabels()
        _legend(figure, [run])
        return to_svg(figure, "timeline")


def plot_side_by_side(runs: Sequence[Run], labels: Sequence[str]) -> str:
    """Draw every sample's latency for each run, one below the other, on the same axes."""
    with plot_style():
        figure = new_figure(0.9 + 1.35 * len(runs))
        rows = figure.subplots(len(runs), sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, run, label in zip(rows, runs, labels, strict=True):
            _draw_phases(axes, run, named=axes is rows[0])
            _draw_latencies(axes, run)
            axes.set_ylabel("ms")
            axes.set_title(label, loc="left", fontsize=10, fontweight="bold", pad=3)
        rows[-1].set_xlabel("time since the run's start (s)")
        rows[-1].set_xlim(0, max(_LEAST_S, *(run.end_s for run in runs)))
        _legend(figure, runs)
        return to_svg(figure, "side-by-side")


def _draw_phases(axes: Any, run: Run, *, named: bool) -> None:
    ends_s = [*(phase.start_s for phase in run.phases[1:]), run.end_s]
    best_bps = max((phase.bandwidth_bps for phase in run.phases), default=0.0)
    for phase, end_s in zip(run.phases, ends_s, strict=False):
        poor = phase.bandwidth_bps < best_bps / 4
        colour = _OUTAGE if phase.bandwidth_bps == 0 else _POOR if poor else "none"
        axes.axvspan(phase.start_s, end_s, facecolor=colour, edgecolor="none", zorder=0)
        if named:
            axes.annotate(
                phase.name,
                ((phase.start_s + end_s) / 2, 1.0),
                (0, 4),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="center",
                fontsize=9,
                annotation_clip=False,
            )


def _draw_bandwidth(axes: Any, run: Run) -> None:
    if run.phases:
        starts_s = [*(phase.start_s for phase in run.phases), run.end_s]
        rates = [phase.bandwidth_bps / 1e6 or float("nan") for phase in run.phases]
        axes.step(
            starts_s,
            [*rates, rates[-1]],
            where="post",
            color=_TRUE,
            linewidth=4,
            alpha=0.5,
            label="true",
        )
    seen = [(line.at_s, line.bandwidth_bps) for line in run.loads]
    seen += [(line.at_s, line.conditions.bandwidth_bps) for line in run.plans if line.conditions]
    seen = [(at_s, bps) for at_s, bps in seen if bps > 0]
    times_s, rates_bps = zip(*sorted(seen), strict=True) if seen else ((), ())
    axes.step(
        times_s,
        [bps / 1e6 for bps in rates_bps],
        where="post",
        color=_BELIEVED,
        label="estimated by the device",
    )
    axes.set_yscale("log")
    use_plain_ticks(axes.yaxis)
    axes.set_ylabel("bandwidth\n(Mbit/s)")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)


def _draw_cut(axes: Any, run: Run) -> None:
    deepest = run.opening.segments
    times_s = [plan.at_s for plan in run.plans]
    cuts = [plan.cut for plan in run.plans]
    if cuts:
        axes.step([*times_s, run.end_s], [*cuts, cuts[-1]], where="post", color="#000000")
        axes.plot(times_s, cuts, "o", color="#000000", markersize=4)
    axes.set_ylim(-0.06 * deepest, deepest * 1.06)
    axes.set_yticks([0, deepest // 2, deepest])
    axes.set_ylabel("segments run\non the device")
    for height, text in ((0, "0: sends the input"), (deepest, f"{deepest}: sends nothing")):
        axes.annotate(
            text,
            (1.0, height),
            (6, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=9,
            annotation_clip=False,
        )


def _draw_latencies(axes: Any, run: Run) -> None:
    for name, (colour, marker) in _marks([run]).items():
        for degraded in (False, True):
            chosen = [r for r in run.results if _is_by(r, name) and _is_degraded(r) == degraded]
            if chosen:
                axes.plot(
                    [result.arrived_s for result in chosen],
                    [max(result.latency_s * 1e3, 0.1) for result in chosen],
                    marker,
                    color=colour,
                    markersize=4.5,
                    markerfacecolor="none" if degraded else colour,
                    linestyle="none",
                )
    if run.opening.deadline_s:
        axes.axhline(run.opening.deadline_s * 1e3, color="#555555", linewidth=1)
    axes.set_yscale("log")
    use_plain_ticks(axes.yaxis)
    axes.set_ylabel("latency\n(ms)")


def _legend(figure: Any, runs: Sequence[Run]) -> None:
    """Explain the marks: who answered, what an empty one means, and the deadline's line."""
    from matplotlib.lines import Line2D

    keys = [
        Line2D([], [], color=colour, marker=marker, linestyle="none", label=name or "no answer")
        for name, (colour, marker) in _marks(runs).items()
        if any(_is_by(result, name) for run in runs for result in run.results)
    ]
    if any(_is_degraded(result) for run in runs for result in run.results):
        empty = Line2D([], [], color="#555555", marker="o", markerfacecolor="none")
        empty.set(linestyle="none", label="empty: degraded, the plan could not be kept")
        keys.append(empty)
    deadlines_s = sorted({run.opening.deadline_s for run in runs if run.opening.deadline_s})
    if deadlines_s:
        text = " and ".join(f"{deadline_s * 1e3:.0f} ms" for deadline_s in deadlines_s)
        keys.append(Line2D([], [], color="#555555", linewidth=1, label=f"deadline {text}"))
    figure.legend(handles=keys, loc="outside lower center", ncols=4, fontsize=9)


def _marks(runs: Sequence[Run]) -> dict[str, Mark]:
    """Return the marks of all who could have answered, and last of nobody."""
    return answerer_marks([*dict.fromkeys(name for run in runs for name in answerers(run)), ""])


def _is_by(result: ResultLine, name: str) -> bool:
    return (result.by if result.answered else "") == name


def _is_degraded(result: ResultLine) -> bool:
    return result.status == "degraded"

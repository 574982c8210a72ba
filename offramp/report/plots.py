"""Plots that set runs side by side: latencies, where the time went, bytes against accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offramp.report.colours import SPAN_COLOURS, strategy_styles
from offramp.report.figure import (
    mark_deadlines,
    new_figure,
    plot_style,
    to_svg,
    use_plain_ticks,
)
from offramp.report.runs import Run
from offramp.report.summary import RunSummary

__all__ = ["plot_bytes", "plot_latencies", "plot_spans"]

_LEAST_MS = 0.01  # a logarithmic axis has no 0


def plot_latencies(runs: Sequence[Run], labels: Sequence[str]) -> str:
    """Draw the share of all samples that have an answer within a time, one line a run."""
    styles = strategy_styles(labels)
    with plot_style():
        figure = new_figure(3.6)
        axes = figure.add_subplot()
        for run, label in zip(runs, labels, strict=True):
            answers_ms = np.sort([r.latency_s * 1e3 for r in run.results if r.answered])
            answers_ms = np.maximum(answers_ms, _LEAST_MS)
            share = np.arange(1, len(answers_ms) + 1) / len(run.results) * 100
            style = styles[label]
            axes.step(
                [*answers_ms[:1], *answers_ms],
                [*[0.0][: len(answers_ms)], *share],
                where="post",
                color=style.colour,
                linestyle=style.line,
                linewidth=style.width,
                label=_plain(label),
            )
        mark_deadlines(axes, [r.opening.deadline_s for r in runs if r.opening.deadline_s])
        axes.set_xscale("log")
        use_plain_ticks(axes.xaxis)
        axes.set(xlabel="latency (ms, logarithmic)", ylim=(0, 102))
        axes.set_ylabel("answered within it (% of all samples)")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        return to_svg(figure, "latencies")


def plot_spans(summaries: Sequence[RunSummary]) -> str:
    """Draw each run's mean latency as a bar of its parts."""
    with plot_style():
        figure = new_figure(1.9 + 0.36 * len(summaries))
        axes = figure.add_subplot()
        rows = np.arange(len(summaries))
        left = np.zeros(len(summaries))
        for span, (title, colour) in SPAN_COLOURS.items():
            widths = np.array([summary.span_s[span] * 1e3 for summary in summaries])
            if widths.max() > 0:
                axes.barh(rows, widths, left=left, height=0.66, color=colour, label=title)
            left += widths
        for row, total in zip(rows, left, strict=True):
            axes.annotate(
                f"{total:.1f} ms", (total, row), (5, 0), textcoords="offset points", va="center"
            )
        axes.set_yticks(rows, [_plain(summary.label) for summary in summaries])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set(xlabel="mean time a sample (ms)", xlim=(0, max(left.max() * 1.12, 1e-3)))
        if left.any():
            figure.legend(loc="outside lower center", ncols=3, fontsize=9)
        return to_svg(figure, "spans")


def plot_bytes(summaries: Sequence[RunSummary]) -> str:
    """Draw accuracy, with its 95% interval, over the bytes sent a sample."""
    styles = strategy_styles([summary.label for summary in summaries])
    with plot_style():
        figure = new_figure(3.4)
        axes = figure.add_subplot()
        most = max(summary.bytes_per_sample for summary in summaries)
        apart_kb = max(most, 1.0) / 1000 * 0.012  # runs that send the same stay visible
        seen: dict[int, int] = {}
        for summary in summaries:
            if summary.accuracy is None or summary.accuracy_interval is None:
                continue
            place = round(summary.bytes_per_sample / max(most, 1.0) * 80)
            low, high = summary.accuracy_interval
            axes.errorbar(
                summary.bytes_per_sample / 1000 + apart_kb * seen.get(place, 0),
                summary.accuracy * 100,
                [[(summary.accuracy - low) * 100], [(high - summary.accuracy) * 100]],
                linestyle="none",
                marker=styles[summary.label].marker,
                color=styles[summary.label].colour,
                markersize=9,
                capsize=4,
                label=_plain(summary.label),
            )
            seen[place] = seen.get(place, 0) + 1
        axes.set(xlabel="sent to the server (kB a sample, mean)", ylabel="accuracy (%)")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        return to_svg(figure, "bytes")


def _plain(label: str) -> str:
    """Return a label that matplotlib shows in its legend even if it begins with ``_``."""
    return f" {label}" if label.startswith("_") else label

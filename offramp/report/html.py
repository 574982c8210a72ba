"""The HTML report: one file that needs nothing else, to keep or to send on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from offramp.bundle.quantised import Quantised, cost_lines, cost_rows
from offramp.files import write_file
from offramp.report.cells import Cell, Row
from offramp.report.headline import choose_subject, write_headline
from offramp.report.metrics import compare
from offramp.report.page import render_page, require_packages
from offramp.report.runs import Run
from offramp.report.setup import describe_setup, find_differences
from offramp.report.summary import label_runs, summarise

__all__ = ["Report", "render_html", "write_html"]


@dataclass(frozen=True)
class Report:
    """What a report is made from.

    ``compared`` are the runs set side by side; ``featured`` is the one whose timeline comes first,
    by default the one that the headline is about. ``commands`` reproduce it all.
    """

    compared: tuple[Run, ...]
    featured: Run | None = None
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Figure:
    title: str
    svg: str
    caption: str


@dataclass(frozen=True)
class _Cost:
    rows: list[Row]
    lines: list[str]


def write_html(report: Report, path: Path) -> None:
    """Write the report to a file; raise `ConfigError` if it cannot be written."""
    write_file(path, render_html(report).encode())


def render_html(report: Report) -> str:
    """Return the report as one HTML page without any reference to elsewhere."""
    require_packages()
    labels = label_runs(report.compared)
    pairs = zip(report.compared, labels, strict=True)
    summaries = [summarise(run, label) for run, label in pairs]
    return render_page(
        "offramp.report",
        "report.html",
        headline=write_headline(summaries),
        headings=[(summary.label, "") for summary in summaries],
        rows=compare(summaries),
        figures=_figures(report, labels),
        costs=_costs(report.compared),
        setup=describe_setup(report.compared),
        differences=find_differences(report.compared),
        commands=report.commands,
    )


def _costs(runs: Sequence[Run]) -> list[_Cost]:
    """Return what quantising costs, once for each bundle that has quantised heads."""
    found = {run.opening.digest: run.opening.quantised for run in runs}
    return [_Cost(_cost_rows(one), cost_lines(one)) for one in found.values() if one]


def _cost_rows(quantised: Quantised) -> list[Row]:
    return [Row(name, tuple(map(Cell, texts))) for name, *texts in cost_rows(quantised)]


def _figures(report: Report, labels: Sequence[str]) -> list[_Figure]:
    from offramp.report.plots import plot_bytes, plot_latencies, plot_spans
    from offramp.report.timeline import plot_run, plot_side_by_side

    runs = report.compared
    summaries = [summarise(run, label) for run, label in zip(runs, labels, strict=True)]
    featured = report.featured or runs[choose_subject(summaries)]
    figures = [
        _Figure(
            f"Second by second: {featured.opening.strategy}, {len(featured.results)} samples",
            plot_run(featured),
            "Top: what the link gave and what the device believed. Middle: how much of the "
            "network ran on the device. Bottom: one mark for each sample, placed by how long its "
            "answer took, coloured by who answered.",
        ),
        _Figure(
            "How long answers took",
            plot_latencies(runs, labels),
            "The further left and the higher a line, the better. A line that ends below 100% "
            "left samples without an answer.",
        ),
        _Figure(
            "Where the time went",
            plot_spans(summaries),
            "Mean over the samples that got an answer. Warm: the device. Purple: the network. "
            "Blue: the server.",
        ),
    ]
    if any(summary.accuracy is not None for summary in summaries):
        figures.append(
            _Figure(
                "Traffic against accuracy",
                plot_bytes(summaries),
                "Further left is less traffic, higher is more accurate. Bars are 95% intervals: "
                "where they overlap widely, accuracies cannot be told apart. Runs that send the "
                "same are drawn side by side.",
            )
        )
    if len(runs) > 1:
        figures.append(
            _Figure(
                "The same link, one strategy below the other",
                plot_side_by_side(runs, labels),
                "Every sample's latency in milliseconds, coloured by who answered.",
            )
        )
    return figures

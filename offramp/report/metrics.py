"""Metrics: the rows in which runs are set side by side, on the terminal and in HTML alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from offramp.quantities import say_bytes, say_energy
from offramp.report.cells import Cell, Row
from offramp.report.hedging import Hedging
from offramp.report.summary import Latency, RunSummary

__all__ = ["Metric", "compare", "show_bytes", "show_joules", "show_seconds", "show_share"]

Value = Callable[[RunSummary], float | None]


@dataclass(frozen=True)
class Metric:
    """One figure of a run: how it is read, shown, and which end of it is good, if any."""

    title: str
    value: Value
    show: Callable[[float], str]
    best: Literal["most", "least"] | None = None
    meaning: str = ""


def compare(summaries: Sequence[RunSummary]) -> list[Row]:
    """Return the rows of the table, in the order of the runs."""
    rows = [_row(metric, summaries) for metric in _metrics(summaries)]
    intervals = Row(
        "95% interval",
        tuple(Cell(_interval(summary)) for summary in summaries),
        "the true accuracy lies in here with 95% confidence; where intervals overlap widely, "
        "accuracies cannot be told apart",
    )
    return [*rows[:2], intervals, *rows[2:]]


def show_share(share: float) -> str:
    """Show a share in per cent."""
    return f"{share * 100:.1f}%"


def show_seconds(time_s: float) -> str:
    """Show a time in milliseconds, or in seconds from 10 s on."""
    return f"{time_s:.1f} s" if time_s >= 10 else f"{time_s * 1e3:.1f} ms"


def show_bytes(size_bytes: float) -> str:
    """Show a size in whole bytes, or with three digits in a fit unit."""
    return say_bytes(round(size_bytes) if size_bytes < 1000 else size_bytes)


def show_joules(energy_j: float) -> str:
    """Show an energy with three digits, in joules or millijoules."""
    return say_energy(energy_j)


def _metrics(summaries: Sequence[RunSummary]) -> list[Metric]:
    names = list(dict.fromkeys(name for summary in summaries for name in summary.answered_by))
    return [
        Metric(
            "right in time",
            lambda s: s.right_in_time_share,
            show_share,
            "most",
            "samples whose answer is right and came before the deadline",
        ),
        Metric(
            "accuracy",
            lambda s: s.accuracy,
            show_share,
            "most",
            "answers that are right, in time or not",
        ),
        *(Metric(f"by {name}", _share_of(name), show_share) for name in names),
        *_later_metrics(summaries),
        Metric(
            "degraded",
            lambda s: s.degraded_share,
            show_share,
            "least",
            "the planned answer could not come in time, and the device answered with what it had",
        ),
        Metric(
            "late or none",
            lambda s: s.miss_share,
            show_share,
            "least",
            "samples without an answer before the deadline",
        ),
        Metric("latency p50", _latency(lambda x: x.p50_s), show_seconds, "least", "the median"),
        Metric(
            "latency p95",
            _latency(lambda x: x.p95_s),
            show_seconds,
            "least",
            "19 of 20 answers come within this time",
        ),
        Metric("latency p99", _latency(lambda x: x.p99_s), show_seconds, "least"),
        Metric("latency mean", _latency(lambda x: x.mean_s), show_seconds, "least"),
        Metric(
            "sent a sample",
            lambda s: s.bytes_per_sample,
            show_bytes,
            "least",
            "mean over all samples, those that send nothing too",
        ),
        *_hedging_metrics(summaries),
        Metric("plan changes", lambda s: s.plan_changes, "{:.0f}".format),
        Metric(
            "server lost",
            lambda s: s.link_down_s,
            "{:.1f} s".format,
            meaning="time in which the device held the server to be out of reach",
        ),
        Metric("dropped", lambda s: s.dropped, "{:.0f}".format, "least", "never started"),
        Metric("failed", lambda s: s.failed, "{:.0f}".format, "least", "not a sample of the model"),
    ]


def _later_metrics(summaries: Sequence[RunSummary]) -> list[Metric]:
    """Return the row about exits on the server, where any answered."""
    if not any(summary.later_share for summary in summaries):
        return []
    meaning = (
        "of those by the server: an exit behind the cut was sure enough, and the rest did not run"
    )
    return [Metric("by an exit there", lambda s: s.later_share, show_share, meaning=meaning)]


def _hedging_metrics(summaries: Sequence[RunSummary]) -> list[Metric]:
    """Return the rows about computing on, where any run did."""
    found = [summary.hedging for summary in summaries if summary.hedging]
    if not found:
        return []
    energy = Metric("energy for it", _hedging(lambda h, _: h.energy_j), show_joules)
    return [
        Metric(
            "device first",
            _hedging(lambda h, samples: h.first / samples),
            show_share,
            meaning="computing on while the answer was under way, the device had its own before it",
        ),
        Metric(
            "computed on",
            _hedging(lambda h, _: h.computed_s),
            show_seconds,
            meaning="beside answers that were under way, in the whole run",
        ),
        Metric("share of time", _hedging(lambda h, _: h.time_share), show_share),
        Metric(
            "share of work",
            _hedging(lambda h, _: h.work_share),
            show_share,
            meaning="of all that the device computed, and of the energy that this took",
        ),
        *([energy] if any(one.energy_j is not None for one in found) else []),
    ]


def _hedging(part: Callable[[Hedging, int], float | None]) -> Value:
    return lambda s: None if s.hedging is None else part(s.hedging, s.samples)


def _row(metric: Metric, summaries: Sequence[RunSummary]) -> Row:
    values = [metric.value(summary) for summary in summaries]
    texts = ["-" if value is None else metric.show(value) for value in values]
    known = [value for value in values if value is not None]
    best = ""
    if metric.best and len(set(texts)) > 1:
        best = metric.show(max(known) if metric.best == "most" else min(known))
    cells = tuple(Cell(text, bool(best) and text == best) for text in texts)
    return Row(metric.title, cells, metric.meaning)


def _share_of(name: str) -> Value:
    return lambda summary: summary.answered_by.get(name, 0.0)


def _latency(part: Callable[[Latency], float]) -> Value:
    return lambda summary: None if summary.latency is None else part(summary.latency)


def _interval(summary: RunSummary) -> str:
    if summary.accuracy_interval is None:
        return "-"
    low, high = summary.accuracy_interval
    return f"{low * 100:.0f}-{high * 100:.0f}%"

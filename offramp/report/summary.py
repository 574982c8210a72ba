"""Summaries: the figures by which runs are compared. Pure: a run in, numbers out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offramp.report.hedging import Hedging, summarise_hedging
from offramp.report.lines import ResultLine
from offramp.report.runs import Run

__all__ = [
    "SPANS",
    "Latency",
    "RunSummary",
    "answerers",
    "label_runs",
    "summarise",
    "wilson_interval",
]

_Z_95 = 1.959963984540054  # the normal distribution's 97.5th percentile

SPANS = (
    "wait_s",
    "head_s",
    "encode_s",
    "network_s",
    "queue_s",
    "decode_s",
    "tail_s",
    "fallback_s",
    "rest_s",
)
"""The parts of a latency, in the order in which they come. ``rest_s`` is what the agent's own spans
leave open, mostly the wait for an answer of the server that did not come in time."""


@dataclass(frozen=True)
class Latency:
    """Latencies over all samples that have an answer, in seconds."""

    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float


@dataclass(frozen=True)
class RunSummary:
    """One run in figures; shares are of all samples and lie between 0 and 1.

    ``accuracy`` is over the labelled samples that have an answer; ``right_in_time_share`` over all
    labelled samples, those without an answer or with a late one counting as wrong. Both are None
    without labels. ``answered_by`` is keyed as the agent names who answered. ``miss_share`` counts
    answers after the deadline and samples without one. Exits on the server answered
    ``later_share`` of all. ``link_down_s`` is how long the device held the server to be out of
    reach. ``span_s`` holds the mean of each of `SPANS` over the samples that have an answer.
    ``hedging`` is None if the device never computed on beside an answer.
    """

    label: str
    strategy: str
    samples: int
    accuracy: float | None
    accuracy_interval: tuple[float, float] | None
    right_in_time_share: float | None
    in_time_share: float
    answered_by: dict[str, float]
    later_share: float
    degraded_share: float
    dropped: int
    failed: int
    bytes_per_sample: float
    latency: Latency | None
    miss_share: float
    plan_changes: int
    link_down_s: float
    span_s: dict[str, float]
    hedging: Hedging | None = None


def summarise(run: Run, label: str | None = None) -> RunSummary:
    """Return a run's figures; ``label`` is the strategy's name unless it is given."""
    results = run.results
    count = len(results)
    statuses = Counter(result.status for result in results)
    by = Counter(result.by for result in results if result.answered)
    judged = [result for result in results if result.label is not None]
    right = [result for result in judged if result.answer == result.label]
    tried = sum(result.answered for result in judged)
    miss_share = sum(result.late for result in results) / count
    return RunSummary(
        label=label or run.opening.strategy,
        strategy=run.opening.strategy,
        samples=count,
        accuracy=len(right) / tried if tried else None,
        accuracy_interval=wilson_interval(len(right), tried) if tried else None,
        right_in_time_share=(
            sum(not result.late for result in right) / len(judged) if judged else None
        ),
        in_time_share=1 - miss_share,
        answered_by={name: by[name] / count for name in answerers(run)},
        later_share=sum(bool(result.later) for result in results) / count,
        degraded_share=statuses["degraded"] / count,
        dropped=statuses["dropped"],
        failed=statuses["failed"],
        bytes_per_sample=sum(result.sent_bytes for result in results) / count,
        latency=_latency([result.latency_s for result in results if result.answered]),
        miss_share=miss_share,
        plan_changes=max(len(run.plans) - 1, 0),
        link_down_s=_link_down_s(run),
        span_s=_mean_spans([result for result in results if result.answered]),
        hedging=summarise_hedging(run),
    )


def answerers(run: Run) -> list[str]:
    """Return all who could have answered, in the order of the network, and who else did."""
    known = [*(f"exit {name}" for name in run.opening.exits), "device", "server"]
    found = {result.by for result in run.results if result.answered}
    return [*known, *sorted(found - set(known))]


def label_runs(runs: Sequence[Run]) -> list[str]:
    """Return a name for each run: its strategy, and its file's too where that is not enough."""
    counts = Counter(run.opening.strategy for run in runs)
    return [
        run.opening.strategy
        if counts[run.opening.strategy] == 1
        else f"{run.opening.strategy} ({run.name})"
        for run in runs
    ]


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """Return the 95% interval of a share after ``hits`` in ``trials`` (Wilson, 1927)."""
    share = hits / trials
    scale = 1 + _Z_95**2 / trials
    middle = (share + _Z_95**2 / (2 * trials)) / scale
    spread = share * (1 - share) / trials + (_Z_95 / (2 * trials)) ** 2
    half = _Z_95 * math.sqrt(spread) / scale
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _latency(latencies_s: list[float]) -> Latency | None:
    if not latencies_s:
        return None
    p50, p95, p99 = np.percentile(latencies_s, (50, 95, 99))
    return Latency(float(np.mean(latencies_s)), float(p50), float(p95), float(p99))


def _mean_spans(results: list[ResultLine]) -> dict[str, float]:
    totals = dict.fromkeys(SPANS, 0.0)
    for result in results:
        known = {name: result.spans.get(name, 0.0) for name in SPANS if name != "rest_s"}
        rest_s = max(result.latency_s - sum(known.values()), 0.0)
        for name, span_s in {**known, "rest_s": rest_s}.items():
            totals[name] += span_s
    return {name: total / max(len(results), 1) for name, total in totals.items()}


def _link_down_s(run: Run) -> float:
    """Add up the time in which the connection was down or the device had given the server up."""
    events: list[tuple[float, str, bool]] = [
        (max(line.at_s, 0.0), "up", line.up) for line in run.links
    ]
    events += [(load.at_s, "reachable", load.reachable) for load in run.loads]
    events += [
        (plan.at_s, "reachable", plan.conditions.reachable) for plan in run.plans if plan.conditions
    ]
    state = {"up": True, "reachable": True}
    down_s, since_s = 0.0, 0.0
    for at_s, name, value in [*sorted(events), (run.end_s, "", True)]:
        if not all(state.values()):
            down_s += max(min(at_s, run.end_s) - since_s, 0.0)
        since_s = at_s
        if name:
            state[name] = value
    return down_s

"""Metrics: the figures of a strategy that tables show, and which end of each is good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from offramp.report.metrics import show_bytes, show_joules, show_seconds
from sim.report.contenders import Figures, Value

__all__ = ["COSTS", "LATENCIES", "Metric", "each", "show_share"]


@dataclass(frozen=True)
class Metric:
    """One figure: how it is read, shown, and which end of it is good, if any."""

    title: str
    value: Value
    show: Callable[[float], str]
    best: Literal["most", "least"] | None = "least"
    meaning: str = ""


def each(key: str) -> Value:
    """Return the reader of a sum, divided by the requests; None where it is not known."""

    def read(figures: Figures) -> float | None:
        total = figures[key]
        return None if total is None or not figures["requests"] else total / figures["requests"]

    return read


def show_share(share: float) -> str:
    """Show a share in per cent, to two places, for a miss in ten thousand counts."""
    return f"{share * 100:.2f}%"


def _of(key: str) -> Value:
    return lambda figures: figures[key]


def _without_answer(figures: Figures) -> float | None:
    requests = figures["requests"]
    return 1 - figures["answered"] / requests if requests else None


def _degraded(figures: Figures) -> float | None:
    requests = figures["requests"]
    return figures["statuses"].get("degraded", 0) / requests if requests else None


LATENCIES = (
    Metric("mean", _of("mean_s"), show_seconds, "least", "mean latency of the answers"),
    Metric("p50", _of("p50_s"), show_seconds, "least", "the median"),
    Metric("p95", _of("p95_s"), show_seconds),
    Metric("p99", _of("p99_s"), show_seconds),
    Metric("p99.9", _of("p999_s"), show_seconds),
    Metric("late", _of("late_share"), show_share, "least", "after the deadline, or no answer"),
    Metric("accuracy", _of("accuracy"), show_share, "most", "right answers among the answers"),
    Metric("slowest", _of("max_s"), show_seconds),
    Metric("no answer", _without_answer, show_share, "least", "dropped or failed"),
    Metric("degraded", _degraded, show_share, "least", "answered with what there was in time"),
    Metric("right", _of("right_share"), show_share, "most", "right answers among the requests"),
)
"""How answers were, in the order of a table's columns."""

COSTS = (
    Metric("sent", _of("sent_share"), show_share, None, "requests sent to the server"),
    Metric("bytes", each("uplink_bytes"), show_bytes, "least", "on the uplink, probes included"),
    Metric("probes", each("probe_bytes"), show_bytes, "least", "those that measure the link"),
    Metric("device", each("device_s"), show_seconds, "least", "processor time, the hedge included"),
    Metric("hedge", each("hedge_s"), show_seconds, None, "while the answer was under way"),
    Metric("sending", each("sending_s"), show_seconds, "least", "the uplink was busy"),
    Metric("energy", each("energy_j"), show_joules, "least", "what requests add on the device"),
    Metric("server", each("server_s"), show_seconds, "least", "workers' time"),
)
"""What a request cost, in the mean over all, in the order of a table's columns."""

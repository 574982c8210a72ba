"""The tally: what became of a group's requests, in memory that does not grow with their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sim.world.histogram import Histogram

__all__ = ["Tally", "total"]

_QUANTILES = {"p50_s": 0.5, "p90_s": 0.9, "p95_s": 0.95, "p99_s": 0.99, "p999_s": 0.999}
_SUMS = (
    *("requests", "late", "right", "sent", "probes", "up_bytes", "probe_bytes"),
    *("device_s", "hedge_s", "sending_s", "waiting_s", "probe_waiting_s", "server_s"),
    "counted_s",
)


class Tally:
    """Sums over requests; those of the warm-up are left out.

    Of the energy a device spends it keeps the seconds: ``device_s`` that processors computed, of
    them ``hedge_s`` on samples whose answers were under way; ``sending_s`` that uplinks were busy;
    ``waiting_s`` that samples were in flight, all added up, and ``probe_waiting_s`` probes; and of
    servers ``server_s``, the workers' time that was spent on answers. ``counted_s`` is how long
    devices ran behind the warm-up, added up.
    """

    def __init__(self) -> None:
        self.latency = Histogram()
        self.answers: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.requests = self.late = self.right = self.sent = self.probes = 0
        self.up_bytes = self.probe_bytes = 0
        self.device_s = self.hedge_s = self.sending_s = self.server_s = 0.0
        self.waiting_s = self.probe_waiting_s = self.counted_s = 0.0

    def answered(self, latency_s: float, by: str, status: str, *, right: bool, late: bool) -> None:
        """Count a request that was answered ``by`` an exit, the device or the server."""
        self.requests += 1
        self.latency.add(latency_s)
        self.answers[by] += 1
        self.statuses[status] += 1
        self.right += right
        self.late += late

    def unanswered(self, status: str) -> None:
        """Count a request without an answer, which is late and not right."""
        self.requests += 1
        self.statuses[status] += 1
        self.late += 1

    def merge(self, other: Tally) -> None:
        """Add another tally."""
        self.latency.merge(other.latency)
        self.answers.update(other.answers)
        self.statuses.update(other.statuses)
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def summary(self) -> dict[str, Any]:
        """Return all of it as plain values.

        ``accuracy`` is the share of right answers, ``right_share`` that of all requests;
        ``uplink_bytes`` are those of samples, ``up_bytes``, and of probes; ``histogram`` holds
        pairs of an upper edge in seconds and a count.
        """
        answered, each = self.latency.count, max(self.requests, 1)
        return {
            "requests": self.requests,
            "answered": answered,
            "mean_s": self.latency.mean_s,
            **{name: self.latency.quantile_s(q) for name, q in _QUANTILES.items()},
            "max_s": self.latency.most_s if answered else None,
            "late": self.late,
            "late_share": self.late / each,
            "accuracy": self.right / answered if answered else None,
            "right_share": self.right / each,
            "answers": dict(sorted(self.answers.items())),
            "statuses": dict(sorted(self.statuses.items())),
            "sent": self.sent,
            "sent_share": self.sent / each,
            "uplink_bytes": self.up_bytes + self.probe_bytes,
            "up_bytes": self.up_bytes,
            "probe_bytes": self.probe_bytes,
            "probes": self.probes,
            "device_s": self.device_s,
            "hedge_s": self.hedge_s,
            "sending_s": self.sending_s,
            "waiting_s": self.waiting_s,
            "probe_waiting_s": self.probe_waiting_s,
            "server_s": self.server_s,
            "counted_s": self.counted_s,
            "histogram": self.latency.steps(),
        }


def total(tallies: Sequence[Tally]) -> Tally:
    """Return the sum of tallies."""
    found = Tally()
    for tally in tallies:
        found.merge(tally)
    return found

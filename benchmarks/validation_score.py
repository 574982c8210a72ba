"""The score: predicted against measured latencies of one case, round by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.validation_twin import Simulated
from offramp.errors import OfframpError
from offramp.report.runs import Run

__all__ = ["QUANTILES", "Round", "Score", "beyond", "compare"]

QUANTILES = {"median": 0.5, "p95": 0.95}


@dataclass(frozen=True)
class Round:
    """What came of the same requests: the latencies of those that were answered, in seconds.

    ``alike`` is the share of requests that the same party answered in both, or nobody.
    """

    predicted_s: Sequence[float]
    measured_s: Sequence[float]
    alike: float


@dataclass(frozen=True)
class Score:
    """The rounds of one case. A figure of it is the median of the rounds' figures.

    Raises `OfframpError` if nothing was answered in a round: it has no latencies to compare.
    """

    case: str
    rounds: Sequence[Round]

    def __post_init__(self) -> None:
        for number, one in enumerate(self.rounds, 1):
            for how, answered in (("simulated", one.predicted_s), ("live", one.measured_s)):
                if not len(answered):
                    raise OfframpError(f"{self.case}, round {number}: no answer came {how}")

    @property
    def alike(self) -> float:
        """The share of requests that the same party answered."""
        return float(np.median([one.alike for one in self.rounds]))

    def predicted_s(self, q: float) -> float:
        """Return the simulated latency that a share ``q`` of the answers does not exceed."""
        return float(np.median([np.quantile(one.predicted_s, q) for one in self.rounds]))

    def measured_s(self, q: float) -> float:
        """Return the live latency that a share ``q`` of the answers does not exceed."""
        return float(np.median([np.quantile(one.measured_s, q) for one in self.rounds]))

    def error(self, q: float) -> float:
        """Return by which share of the measured latency the prediction is above it."""
        return self.predicted_s(q) / self.measured_s(q) - 1


def beyond(scores: Sequence[Score], band: float) -> list[str]:
    """Return by scenario and quantile the errors that are beyond a band, told."""
    return [
        f"{score.case}, {name} {score.error(q):+.1%}"
        for score in scores
        for name, q in QUANTILES.items()
        if not abs(score.error(q)) <= band
    ]


def compare(
    predicted: Mapping[str, Sequence[Simulated]], measured: Mapping[str, Run], skipped: int = 0
) -> Round:
    """Return a round from both runs of a case, without each device's first requests."""
    simulated_s: list[float] = []
    live_s: list[float] = []
    alike = []
    for device, all_requests in predicted.items():
        requests = all_requests[skipped:]
        results = sorted(measured[device].results, key=lambda result: result.id)[skipped:]
        simulated_s += [request.latency_s for request in requests if request.by]
        live_s += [result.latency_s for result in results if result.answered]
        alike += [
            request.by == _party(result.by)
            for request, result in zip(requests, results, strict=True)
        ]
    return Round(simulated_s, live_s, float(np.mean(alike)))


def _party(by: str) -> str:
    """Return who answers as the simulator names them: exits are the device's."""
    return by if by in ("", "server") else "device"

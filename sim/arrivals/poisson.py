"""Requests that know nothing of each other."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Literal

from sim.arrivals.arrival import Arrivals, ArrivalSettings, RateHz

__all__ = ["Poisson", "PoissonSettings"]


class PoissonSettings(ArrivalSettings):
    """How many requests arrive per second in the mean."""

    kind: Literal["poisson"] = "poisson"
    rate_hz: RateHz


class Poisson(Arrivals):
    """A Poisson process: the gaps between requests are exponential and independent."""

    Settings = PoissonSettings

    def __init__(self, settings: PoissonSettings) -> None:
        self.mean_rate_hz = settings.rate_hz

    def times_s(self, seed: str) -> Iterator[float]:
        """The times of all requests in seconds from a start at 0: endless, and never falling."""
        random, now_s = Random(seed), 0.0
        while True:
            now_s += random.expovariate(self.mean_rate_hz)
            yield now_s

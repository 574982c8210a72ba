"""Requests at regular intervals, such as the frames of a camera."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Literal

from pydantic import Field

from sim.arrivals.arrival import Arrivals, ArrivalSettings, RateHz

__all__ = ["Periodic", "PeriodicSettings"]


class PeriodicSettings(ArrivalSettings):
    """The requests per second, and where in its period each comes, in shares of a period.

    The first comes after `phase`, which is drawn from the seed if left out, so that devices do
    not march in step. Each comes later by a random share of at most `jitter`, evenly distributed.
    """

    kind: Literal["periodic"] = "periodic"
    rate_hz: RateHz
    phase: float | None = Field(default=None, ge=0, lt=1)
    jitter: float = Field(default=0.0, ge=0, le=1)


class Periodic(Arrivals):
    """One request in every period, which jitter moves but never puts before another."""

    Settings = PeriodicSettings

    def __init__(self, settings: PeriodicSettings) -> None:
        self._settings = settings
        self.mean_rate_hz = settings.rate_hz

    def times_s(self, seed: str) -> Iterator[float]:
        """The times of all requests in seconds from a start at 0: endless, and never falling."""
        rate_hz, jitter, random = self._settings.rate_hz, self._settings.jitter, Random(seed)
        phase = random.random() if self._settings.phase is None else self._settings.phase
        for number in count():
            late = jitter * random.random() if jitter else 0.0
            yield (number + (phase + late)) / rate_hz

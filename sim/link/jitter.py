"""A random extra delay that never reorders."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log
from random import Random
from typing import Literal

from pydantic import Field

from sim.link.condition import Condition, ConditionSettings
from sim.link.course import Course

__all__ = ["Jitter", "JitterSettings"]


class JitterSettings(ConditionSettings):
    """The mean of the extra delay, and how it is distributed.

    `exponential` has a long tail; `uniform` lies between 0 and twice the mean.
    """

    kind: Literal["jitter"] = "jitter"
    seconds: float = Field(ge=0)
    distribution: Literal["exponential", "uniform"] = "exponential"


class Jitter(Condition):
    """Every entry waits for a time of its own, and for those that entered before it."""

    Settings = JitterSettings

    def __init__(self, course: Course[JitterSettings], seed: str) -> None:
        self._course, self._random = course, Random(seed)

    def leave_s(self, now_s: float, nbytes: int) -> float:
        """When `nbytes` that enter at `now_s` would leave if nothing were ahead of them."""
        settings = self._course.at(now_s)
        if settings is None or settings.seconds == 0:
            return now_s
        if settings.distribution == "uniform":
            return now_s + self._random.uniform(0, 2 * settings.seconds)
        return now_s + self._random.expovariate(1 / settings.seconds)

    def mean_leave_s(self, now_s: float, nbytes: int) -> float:
        """As `Condition.mean_leave_s`: later by the mean of the delay."""
        settings = self._course.at(now_s)
        return now_s if settings is None else now_s + settings.seconds

    def release_train(self, times_s: Sequence[float], sizes: Sequence[int]) -> Sequence[float]:
        """As `Condition.release_train`; the draws are those of `Random.expovariate`, in line."""
        settings, draw = self._course.only, self._random.random
        if (
            settings is None
            or settings.seconds == 0
            or settings.distribution != "exponential"
            or times_s[-1] == inf
        ):
            return super().release_train(times_s, sizes)
        rate_hz = 1 / settings.seconds
        return self.in_order([time_s - log(1.0 - draw()) / rate_hz for time_s in times_s])

"""A random extra delay that never reorders."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, exp, inf, log
from random import Random
from typing import Literal

import numpy as np
from pydantic import Field

from sim.link.condition import PACKET_BYTES, Condition, ConditionSettings
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
    delays_packets = True

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

    def mean_leave_s(self, now_s: float, nbytes: int, spread_s: float = 0.0) -> float:
        """As `Condition.mean_leave_s`: later by what the packet that leaves last is in the mean."""
        settings = self._course.at(now_s)
        if settings is None or settings.seconds == 0:
            return now_s
        packets = ceil(nbytes / PACKET_BYTES)
        if packets <= 1:
            return now_s + settings.seconds
        gap = spread_s / (packets - 1) / settings.seconds
        return now_s + settings.seconds * _latest(settings.distribution, packets, _rounded(gap))

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


_STEPS = 512
_NEXT_TO_NONE = 20.0  # means of an exponential delay, which it exceeds once in 10^8


@lru_cache(maxsize=65_536)
def _latest(distribution: str, packets: int, gap: float) -> float:
    """Return how much later than it entered the last of some packets leaves, in mean delays.

    Each enters a `gap` behind the one before it and waits for it. So that is the mean of the
    greatest of independent delays, of which the k-th from the end begins k gaps earlier: the
    integral of the chance that any of them lasts longer than a time. Without gaps it is the
    harmonic sum of an exponential delay, and n / (n + 1) of the width of a uniform one.
    """
    uniform = distribution == "uniform"
    most = 2.0 if uniform else _NEXT_TO_NONE + log(packets)
    earlier = gap * np.arange(min(packets, most / gap + 1 if gap else packets))
    times = (np.arange(_STEPS) + 0.5) * (most / _STEPS)
    since = times[:, None] + earlier[None, :]
    over = 1 - np.minimum(since / 2, 1) if uniform else np.exp(-since)
    return float((1 - (1 - over).prod(axis=1)).mean() * most)


def _rounded(gap: float) -> float:
    """Return a gap to 2%, so that few of them need an integral."""
    return exp(round(log(gap) * 50) / 50) if gap > 0 else 0.0

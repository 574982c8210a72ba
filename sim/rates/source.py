"""The contract of a rate source, and the constant one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import inf
from typing import Protocol

__all__ = ["CRUMB_BYTES", "UNLIMITED", "ConstantRate", "RateSource"]

CRUMB_BYTES = 1e-3
"""What rounding may leave of a byte count: less than this is served, so that it never waits out
a gap of the rate."""


class RateSource(Protocol):
    """A rate over time, seen through its integral: how many bytes it serves, and by when."""

    def served_bytes(self, from_s: float, to_s: float) -> float:
        """The integral of the rate from `from_s` to `to_s`, in bytes."""

    def finish_s(self, start_s: float, nbytes: float) -> float:
        """The first time by which `nbytes` are served from `start_s` on; infinite if never."""


class ConstantRate:
    """A rate that is the same at all times."""

    def __init__(self, bps: float) -> None:
        self._bytes_per_s = bps / 8

    def served_bytes(self, from_s: float, to_s: float) -> float:
        """The integral of the rate from `from_s` to `to_s`, in bytes."""
        return self._bytes_per_s * (to_s - from_s) if to_s > from_s else 0.0

    def finish_s(self, start_s: float, nbytes: float) -> float:
        """The first time by which `nbytes` are served from `start_s` on; infinite if never."""
        if nbytes <= 0:
            return start_s
        return start_s + nbytes / self._bytes_per_s if self._bytes_per_s else inf

    def finish_train(
        self, free_s: float, times_s: Sequence[float], sizes: Sequence[int]
    ) -> list[float]:
        """When each of some packets is served, one after the other and none before `free_s`."""
        bytes_per_s, finished = self._bytes_per_s, list[float]()
        if not bytes_per_s:
            return [inf] * len(sizes)
        start_s = max(times_s[0], free_s)
        if times_s[-1] <= start_s:  # all are there before the first is begun
            ends_s = accumulate([nbytes / bytes_per_s for nbytes in sizes], initial=start_s)
            return [*ends_s][1:]
        for time_s, nbytes in zip(times_s, sizes, strict=True):
            free_s = (time_s if time_s > free_s else free_s) + nbytes / bytes_per_s
            finished.append(free_s)
        return finished


UNLIMITED = ConstantRate(inf)
"""A rate that serves any number of bytes at once."""

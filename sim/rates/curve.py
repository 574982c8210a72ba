"""Reading a curve of served bytes, which is linear between its knots, in both directions."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from sim.rates.source import CRUMB_BYTES

__all__ = ["bytes_at", "time_of"]


def bytes_at(times_s: Sequence[float], served: Sequence[float], now_s: float) -> float:
    """How many bytes the curve has served at `now_s`, which is not after the last knot."""
    right = min(bisect_right(times_s, now_s), len(times_s) - 1)
    left = right - 1
    share = (now_s - times_s[left]) / (times_s[right] - times_s[left])
    return served[left] + share * (served[right] - served[left])


def time_of(times_s: Sequence[float], served: Sequence[float], nbytes: float) -> float:
    """The first time at which the curve has served `nbytes`, which it does by its last knot."""
    right = max(bisect_left(served, nbytes - CRUMB_BYTES), 1)
    left = right - 1
    missing = min(nbytes, served[right]) - served[left]
    share = missing / (served[right] - served[left]) if missing > 0 else 0.0
    return times_s[left] + share * (times_s[right] - times_s[left])

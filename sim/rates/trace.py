"""A recorded rate that repeats at its end."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from math import floor

from sim.rates.curve import bytes_at, time_of
from sim.rates.source import CRUMB_BYTES

__all__ = ["RateTrace"]


class RateTrace:
    """A piecewise constant rate, held as its curve of served bytes, which repeats for ever.

    Knot `i` says that `served[i]` bytes are served by `times_s[i]`; both lists start at 0 and
    never fall, and the times always grow. The last knot ends the trace.
    """

    def __init__(self, times_s: Iterable[float], served: Iterable[float]) -> None:
        self._times_s, self._served = array("d", times_s), array("d", served)
        self.period_s, self.period_bytes = self._times_s[-1], self._served[-1]
        if len(self._times_s) < 2 or self.period_bytes <= 0:
            raise ValueError("a trace needs two knots or more and must serve some bytes")

    @property
    def knots(self) -> list[tuple[float, float]]:
        """Every knot as (time in seconds, bytes served by then)."""
        return list(zip(self._times_s, self._served, strict=True))

    @property
    def mean_bps(self) -> float:
        """The mean rate over one period."""
        return self.period_bytes * 8 / self.period_s

    def served_bytes(self, from_s: float, to_s: float) -> float:
        """The integral of the rate from `from_s` to `to_s`, in bytes."""
        return self._position(to_s) - self._position(from_s) if to_s > from_s else 0.0

    def finish_s(self, start_s: float, nbytes: float) -> float:
        """The first time by which `nbytes` are served from `start_s` on."""
        if nbytes <= 0:
            return start_s
        cycle, rest = divmod(self._position(start_s) + nbytes, self.period_bytes)
        if rest < CRUMB_BYTES:
            cycle, rest = cycle - 1, self.period_bytes
        return max(start_s, cycle * self.period_s + time_of(self._times_s, self._served, rest))

    def _position(self, now_s: float) -> float:
        cycle = floor(now_s / self.period_s)
        within_s = min(max(now_s - cycle * self.period_s, 0.0), self.period_s)
        return cycle * self.period_bytes + bytes_at(self._times_s, self._served, within_s)

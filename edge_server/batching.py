"""Batch sizes: how many samples are worth running as one, by what steps have taken lately.

A step over ``b`` samples takes about ``fixed + b * each`` seconds. Both are learnt from the steps
themselves, for each place of each network: they hang on the engine, the machine and its load.
"""

from __future__ import annotations

from collections.abc import Hashable

__all__ = ["MOST", "BatchSizes", "CostCurve"]

MOST = 32
"""The most samples of a step."""

_FORGETTING = 0.98  # what a reading counts for when the next one comes
_WORTH = 0.05  # of a sample's own time: a fixed cost that is less for each is not worth waiting for
_LEAST_SPREAD = 1e-3  # of sizes, below which nothing tells the fixed cost from the rest


class CostCurve:
    """The time of one step against the batch size: exponentially forgetting least squares."""

    def __init__(self) -> None:
        self._weight = self._size = self._time = self._size_size = self._size_time = 0.0
        self._largest = 0

    def observe(self, size: int, time_s: float) -> None:
        """Note that a step over so many samples took ``time_s``."""
        self._largest = max(self._largest, size)
        self._weight = _FORGETTING * self._weight + 1
        self._size = _FORGETTING * self._size + size
        self._time = _FORGETTING * self._time + time_s
        self._size_size = _FORGETTING * self._size_size + size * size
        self._size_time = _FORGETTING * self._size_time + size * time_s

    def parts_s(self) -> tuple[float, float] | None:
        """Return the fixed time of a step and that of each sample; None if sizes were too alike."""
        if not self._weight:
            return None
        size, time_s = self._size / self._weight, self._time / self._weight
        spread = self._size_size / self._weight - size * size
        if spread < _LEAST_SPREAD:
            return None
        each_s = (self._size_time / self._weight - size * time_s) / spread
        each_s = min(max(each_s, 0.0), time_s / size)
        return time_s - each_s * size, each_s

    def best_size(self, room_s: float) -> int:
        """Return how many samples to run as one, at most, if there are ``room_s`` for the step.

        So many that the fixed cost is a twentieth of a sample's own. Where that is not known, twice
        as many as ever were: it is found out from time to time.
        """
        most = min(max(2 * self._largest, 1), MOST)
        if parts_s := self.parts_s():
            fixed_s, each_s = parts_s
            most = min(most, int(fixed_s / max(_WORTH * each_s, 1e-9)) + 1)
            if each_s > 0:
                most = min(most, int(max(room_s - fixed_s, 0.0) / each_s))
        return max(most, 1)


class BatchSizes:
    """The cost curve of every place at which samples wait.

    Of two readings that threads take at the same moment one may be lost; none is wrong for long.
    """

    def __init__(self) -> None:
        self._curves: dict[Hashable, CostCurve] = {}

    def observe(self, place: Hashable, size: int, time_s: float) -> None:
        """Note how long a step at a place took."""
        self._curves.setdefault(place, CostCurve()).observe(size, time_s)

    def best_size(self, place: Hashable, room_s: float) -> int:
        """Return how many samples to run as one at a place, as `CostCurve.best_size`."""
        curve = self._curves.get(place)
        return curve.best_size(room_s) if curve else 1

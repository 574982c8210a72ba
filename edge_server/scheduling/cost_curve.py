"""The cost curve of a step: how long it takes over so many samples as one batch."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MOST", "SIZES", "CostCurve", "Parts"]

MOST = 32
"""The most samples of a step."""

SIZES = (1, 2, 4, 8)
"""Those that are measured when a bundle is loaded."""

_FORGETTING = 0.98  # what a reading counts for when the next one comes
_WORTH = 0.05  # of a sample's own time: a fixed cost that is less for each is not worth waiting for
_NEW = 0.1  # what a reading counts for in the level
_LEAST_SPREAD = 1e-3  # of sizes, below which nothing tells the fixed cost from the rest


class Parts(NamedTuple):
    """What ``b`` samples take together, ``fixed_s + b * each_s`` seconds."""

    fixed_s: float
    each_s: float

    def time_s(self, size: int) -> float:
        """Return what so many samples take."""
        return self.fixed_s + size * self.each_s

    def fitting(self, most: int, room_s: float) -> int:
        """Return how many samples, at most so many but one at least, are through in ``room_s``."""
        if self.each_s > 0:
            most = int(min(most, max(room_s - self.fixed_s, 0.0) / self.each_s))
        return max(most, 1)


class CostCurve:
    """The time of one step against the batch size.

    Its shape, the share of the fixed cost in a step over one sample, is that of exponentially
    forgetting least squares; its level follows the last readings, as the machine's load does.
    ``fixed_share`` is taken to hold until sizes have differed.
    """

    def __init__(self, fixed_share: float = 0.0) -> None:
        self._weight = self._size = self._time = self._size_size = self._size_time = 0.0
        self._largest = 0
        self._alone_s = 0.0  # what one sample takes of late
        self.fixed_share = fixed_share

    def observe(self, size: int, time_s: float) -> None:
        """Note that a step over so many samples took ``time_s``."""
        self._largest = max(self._largest, size)
        self._weight = _FORGETTING * self._weight + 1
        self._size = _FORGETTING * self._size + size
        self._time = _FORGETTING * self._time + time_s
        self._size_size = _FORGETTING * self._size_size + size * size
        self._size_time = _FORGETTING * self._size_time + size * time_s
        if (parts := self._fitted()) and (alone_s := parts.time_s(1)) > 0:
            self.fixed_share = parts.fixed_s / alone_s
        alone_s = time_s / (self.fixed_share + (1 - self.fixed_share) * size)
        first = self._weight == 1
        self._alone_s = alone_s if first else self._alone_s + _NEW * (alone_s - self._alone_s)

    @property
    def parts(self) -> Parts:
        """What a step is likely to take; nothing before the first reading."""
        fixed_s = self.fixed_share * self._alone_s
        return Parts(fixed_s, self._alone_s - fixed_s)

    def best_size(self) -> int:
        """Return how many samples to run as one, at most.

        So many that the fixed cost is a twentieth of a sample's own. Where late sizes were too
        alike to tell, twice as many as ever were: it is found out from time to time.
        """
        most = min(max(2 * self._largest, 1), MOST)
        if parts := self._fitted():
            most = min(most, int(parts.fixed_s / max(_WORTH * parts.each_s, 1e-9)) + 1)
        return most

    def _fitted(self) -> Parts | None:
        """Return what late readings tell; None if their sizes were too alike."""
        if not self._weight:
            return None
        size, time_s = self._size / self._weight, self._time / self._weight
        spread = self._size_size / self._weight - size * size
        if spread < _LEAST_SPREAD:
            return None
        each_s = (self._size_time / self._weight - size * time_s) / spread
        each_s = min(max(each_s, 0.0), time_s / size)
        return Parts(time_s - each_s * size, each_s)

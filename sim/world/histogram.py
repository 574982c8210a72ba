"""Histograms of times in constant memory."""

from __future__ import annotations

import math
from collections import Counter

__all__ = ["RATIO", "Histogram"]

RATIO = 1.005
"""A bin's upper edge over its lower one: quantiles are right to a quarter of a percent."""

_LEAST_S = 1e-6
_PER_BIN = 1 / math.log(RATIO)


class Histogram:
    """Counts of times from a microsecond on, in bins whose edges grow by `RATIO`; mean exact."""

    def __init__(self) -> None:
        self._bins: Counter[int] = Counter()
        self.count, self.sum_s, self.most_s = 0, 0.0, 0.0

    def add(self, time_s: float) -> None:
        """Count a time."""
        self._bins[int(math.log(max(time_s, _LEAST_S) / _LEAST_S) * _PER_BIN)] += 1
        self.count += 1
        self.sum_s += time_s
        self.most_s = max(self.most_s, time_s)

    def merge(self, other: Histogram) -> None:
        """Count what another one has counted."""
        self._bins.update(other._bins)
        self.count += other.count
        self.sum_s += other.sum_s
        self.most_s = max(self.most_s, other.most_s)

    @property
    def mean_s(self) -> float | None:
        """The exact mean; None if nothing was counted."""
        return self.sum_s / self.count if self.count else None

    def quantile_s(self, q: float) -> float | None:
        """Return a time that a share ``q`` of those counted do not exceed, to 0.25 percent."""
        place, seen = max(math.ceil(q * self.count), 1), 0
        for number, count in sorted(self._bins.items()):
            seen += count
            if seen >= place:
                return float(min(_LEAST_S * RATIO ** (number + 0.5), self.most_s))
        return None

    def steps(self) -> list[tuple[float, int]]:
        """Return the upper edge of each bin that is not empty, and its count, from the least on."""
        return [(_LEAST_S * RATIO ** (n + 1), count) for n, count in sorted(self._bins.items())]

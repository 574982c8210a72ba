"""Stretch: how much longer a machine takes than its profile says, as a moving average."""

from __future__ import annotations

__all__ = ["Stretch"]


class Stretch:
    """An exponentially weighted mean of observed over expected time; 1 until something is seen."""

    def __init__(self, weight: float = 0.2, limit: float = 20.0) -> None:
        self._weight = weight
        self._limit = limit
        self.value = 1.0

    def observe(self, observed_s: float, expected_s: float) -> None:
        """Take in one measured time; nothing is learned from an expectation of zero."""
        if expected_s > 0:
            ratio = min(max(observed_s / expected_s, 1 / self._limit), self._limit)
            self.value += self._weight * (ratio - self.value)

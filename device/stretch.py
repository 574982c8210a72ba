"""Stretch: how much longer a machine takes than its profile says, as a moving average."""

from __future__ import annotations

import math

__all__ = ["Stretch"]


class Stretch:
    """An exponentially weighted mean of observed over expected time; 1 until something is seen.

    What is not seen again drifts back to 1, by a factor e in ``forget_s``: a machine that is left
    alone because it was slow is thus tried again.
    """

    def __init__(self, forget_s: float, weight: float = 0.2, limit: float = 20.0) -> None:
        self._forget_s, self._weight, self._limit = forget_s, weight, limit
        self._value, self._now_s = 1.0, -math.inf
        self._asked = -math.inf, 1.0  # it is asked for several times at a moment

    def at(self, now_s: float) -> float:
        """Return the stretch as it is believed now."""
        if self._value == 1.0:
            return 1.0
        if self._asked[0] != now_s:
            age_s = max(now_s - self._now_s, 0.0)
            faded = 1.0 + (self._value - 1.0) * math.exp(-age_s / self._forget_s)
            self._asked = now_s, faded
        return self._asked[1]

    def observe(self, now_s: float, observed_s: float, expected_s: float) -> None:
        """Take in one measured time; nothing is learned from an expectation of zero."""
        if expected_s > 0:
            ratio = min(max(observed_s / expected_s, 1 / self._limit), self._limit)
            value = self.at(now_s)
            self._value = value + self._weight * (ratio - value)
            self._now_s = max(self._now_s, now_s)
            self._asked = -math.inf, 1.0

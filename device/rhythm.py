"""The rhythm: when the next sample is to be expected of a source that does not wait."""

from __future__ import annotations

import math

__all__ = ["Rhythm"]

_WEIGHT = 0.2
_REGULAR = 0.25
_VARIATION_WEIGHT = 0.05
_LONGEST = 6.0  # intervals: a longer pause tells no more of how samples come


class Rhythm:
    """Samples that come at a rate, evenly or not; None if they come when they are asked for.

    Time is an argument. Until something else is seen they are taken to come evenly.
    """

    def __init__(self, rate_hz: float | None) -> None:
        self._rate_hz = rate_hz
        self._arrived_s = -math.inf
        self._off = self._unevenness = 0.0

    def arrived(self, now_s: float) -> None:
        """Take in that a sample came."""
        if self._rate_hz is not None and math.isfinite(self._arrived_s):
            off = abs((now_s - self._arrived_s) * self._rate_hz - 1)
            self._off += _WEIGHT * (min(off, 1.0) - self._off)
            square = min(off, _LONGEST) ** 2
            self._unevenness += _VARIATION_WEIGHT * (square - self._unevenness)
        self._arrived_s = now_s

    def end(self) -> None:
        """Take in that no more will come."""
        self._rate_hz = None

    @property
    def regular(self) -> bool:
        """Whether it can be told when the next one comes."""
        return self._rate_hz is None or self._off < _REGULAR

    @property
    def unevenness(self) -> float:
        """The squared coefficient of variation of the time between samples, as seen lately."""
        return 0.0 if self.regular else self._unevenness

    def next_s(self, count: int = 1) -> float:
        """Return when the next one, or the one so many from now, is expected; infinite if none."""
        if self._rate_hz is None:
            return math.inf
        return self._arrived_s + count / self._rate_hz

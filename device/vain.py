"""The vain share: how often the device itself answers what was sent because it looked quicker."""

from __future__ import annotations

import math

__all__ = ["VainShare"]

_WEIGHT = 0.1
_FORGET_S = 10.0


class VainShare:
    """An exponentially weighted share; what is not heard of again fades with time."""

    def __init__(self) -> None:
        self._value = 0.0
        self._now_s = -math.inf

    def at(self, now_s: float) -> float:
        """Return the share of samples, as it is believed now."""
        if self._value == 0.0:
            return 0.0
        return self._value * math.exp(-max(now_s - self._now_s, 0.0) / _FORGET_S)

    def observe(self, now_s: float, *, vain: bool) -> None:
        """Take in who answered a sample that was sent."""
        value = self.at(now_s)
        self._value = value + _WEIGHT * (vain - value)
        self._now_s = max(self._now_s, now_s)

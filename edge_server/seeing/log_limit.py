"""A limit for what strangers can make a server log. It has no clock: the time is an argument."""

from __future__ import annotations

import math

__all__ = ["LogLimit"]


class LogLimit:
    """Lets one line through each ``period_s``, and counts those that it hides."""

    def __init__(self, period_s: float = 1.0) -> None:
        self._period_s = period_s
        self._last_s = -math.inf
        self._hidden = 0

    def lets(self, now_s: float) -> bool:
        """Tell whether to write a line now."""
        if now_s - self._last_s < self._period_s:
            self._hidden += 1
            return False
        self._last_s = now_s
        return True

    def take_hidden(self) -> int:
        """Return how many were hidden since this was asked last."""
        hidden, self._hidden = self._hidden, 0
        return hidden

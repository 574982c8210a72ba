"""Patience: how short the times are that samples have of late, and so how long a step may take."""

from __future__ import annotations

import math

__all__ = ["WINDOW_S", "Patience"]

WINDOW_S = 2.0
"""For how long a short time counts, at least; at most twice that."""


class Patience:
    """The shortest time that any sample had to be answered in, of those that came lately.

    A step cannot be interrupted: whoever comes while it runs has waited for it.
    """

    def __init__(self) -> None:
        self._now_s = self._before_s = math.inf
        self._since_s = 0.0

    def note(self, now_s: float, room_s: float) -> None:
        """Take in that a sample came that had so long."""
        self._turn(now_s)
        self._now_s = min(self._now_s, room_s)

    def shortest_s(self, now_s: float) -> float:
        """Return the shortest time; infinity if none came lately."""
        self._turn(now_s)
        return min(self._now_s, self._before_s)

    def _turn(self, now_s: float) -> None:
        while now_s - self._since_s >= WINDOW_S:
            idle = self._now_s == math.inf
            self._before_s, self._now_s = self._now_s, math.inf
            self._since_s = now_s if idle else self._since_s + WINDOW_S

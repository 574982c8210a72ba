"""Patience: when to try something again that failed, and when to give it up."""

from __future__ import annotations

__all__ = ["Patience"]

_PAUSES_S = (0.1, 0.2, 0.5, 1.0)


class Patience:
    """Allows tries until ``limit_s`` have passed without progress, with growing pauses."""

    def __init__(self, limit_s: float, now_s: float) -> None:
        self._limit_s = limit_s
        self.progressed(now_s)

    def progressed(self, now_s: float) -> None:
        """Take in that something came of a try."""
        self._since_s = now_s
        self._failures = 0

    def failed(self, now_s: float) -> float | None:
        """Return how long to pause before the next try, or None if it is time to give up."""
        if now_s - self._since_s >= self._limit_s:
            return None
        pause_s = _PAUSES_S[min(self._failures, len(_PAUSES_S) - 1)]
        self._failures += 1
        return pause_s

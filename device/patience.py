"""Patience: when to try something again that failed, and when to give it up."""

from __future__ import annotations

from device.reconnect import pause_s

__all__ = ["Patience"]


class Patience:
    """Allows tries while ``least_bytes`` come in every ``limit_s``, with growing pauses.

    A peer that sends a byte now and then is given up like one that sends nothing.
    """

    def __init__(self, limit_s: float, least_bytes: int, now_s: float) -> None:
        self._limit_s, self._least_bytes = limit_s, least_bytes
        self._since_s, self._came_bytes = now_s, 0
        self._failures = 0

    def came(self, now_s: float, size_bytes: int) -> None:
        """Take in that so many bytes came."""
        self._failures = 0
        self._came_bytes += size_bytes
        if self._came_bytes >= self._least_bytes:
            self._since_s, self._came_bytes = now_s, 0

    def ended(self, now_s: float) -> bool:
        """Tell whether it is time to give up."""
        return now_s - self._since_s >= self._limit_s

    def pause_s(self) -> float:
        """Return how long to wait before the next try."""
        self._failures += 1
        return pause_s(self._failures - 1)

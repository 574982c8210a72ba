"""The circuit breaker: after repeated failures the server is left alone for a while.

Closed -> open after ``failures`` failures in a row, or at once when the connection breaks. While
open, one probe may go out each ``retry_s``; a success closes it again (Nygard, Release It!, 2007).
"""

from __future__ import annotations

import math

__all__ = ["Breaker"]


class Breaker:
    """A pure state machine; time comes in as an argument."""

    def __init__(self, failures: int = 2, retry_s: float = 0.5) -> None:
        self._limit = failures
        self._retry_s = retry_s
        self._failed = 0
        self._next_probe_s = -math.inf
        self.closed = True

    def succeed(self) -> None:
        """Take in that the server answered."""
        self._failed = 0
        self.closed = True

    def fail(self, now_s: float) -> None:
        """Take in that an answer did not come, or was a refusal."""
        self._failed += 1
        if self._failed >= self._limit:
            self.trip(now_s)

    def trip(self, now_s: float) -> None:
        """Open at once: the connection is gone."""
        if self.closed:
            self._next_probe_s = now_s + self._retry_s
        self.closed = False

    @property
    def next_probe_s(self) -> float:
        """When a probe may go out while it is open."""
        return self._next_probe_s

    def may_probe(self, now_s: float) -> bool:
        """Tell whether a probe may go out now, and count it as gone out if so."""
        if self.closed or now_s < self._next_probe_s:
            return False
        self._next_probe_s = now_s + self._retry_s
        return True

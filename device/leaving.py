"""Leaving: the lines to servers that were left, until these have answered what they have."""

from __future__ import annotations

import math
from dataclasses import dataclass

from device.line import Line
from device.reconnect import SILENCE_S

__all__ = ["LINGER_S", "Leaving", "Limits"]

LINGER_S = 0.5
"""For so long what the processor has in hand may refer to a sample of the line before."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Until when a server takes samples, and answers those that it took."""

    accepts_s: float
    answers_s: float

    @classmethod
    def none(cls, now_s: float) -> Limits:
        """Return those of a server that is well."""
        return cls(math.inf, now_s + SILENCE_S)


@dataclass(slots=True)
class _Left:
    line: Line
    linger_s: float
    end_s: float


class Leaving:
    """The lines that were left and have not ended; one thread tells it of them, any may ask."""

    def __init__(self) -> None:
        self._left: tuple[_Left, ...] = ()

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines, in the order in which they were left."""
        return tuple(left.line for left in self._left)

    @property
    def wake_s(self) -> float:
        """When there is something to do, if nothing else happens until then."""
        return min((min(left.linger_s, left.end_s) for left in self._left), default=math.inf)

    def add(self, now_s: float, line: Line, limits: Limits, *, lingers: bool) -> None:
        """Leave a line, at once or when what may refer to its samples has come."""
        linger_s = min(now_s + LINGER_S, limits.accepts_s) if lingers else now_s
        self._left = (*self._left, _Left(line, linger_s, limits.answers_s))
        self.passed(now_s)

    def passed(self, now_s: float) -> None:
        """Take in that time passed."""
        for left in self._left:
            if now_s >= left.linger_s:
                left.line.leave()
                left.linger_s = math.inf
            if now_s >= left.end_s:
                left.line.close()
                left.end_s = math.inf

    def ended(self, line: Line) -> bool:
        """Take in that a line has ended; tell whether it is one that was left."""
        kept = tuple(left for left in self._left if left.line is not line)
        was_left, self._left = len(kept) < len(self._left), kept
        return was_left

    def line_of(self, sample: int) -> Line | None:
        """Return the line on which a sample is kept, if it was left and still takes others."""
        for left in self._left:
            if left.linger_s < math.inf and sample in left.line.kept:
                return left.line
        return None

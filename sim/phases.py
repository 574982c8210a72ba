"""When each phase of a link begins and ends."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, count
from math import inf

__all__ = ["ALWAYS", "Phases", "Span"]


@dataclass(frozen=True)
class Span:
    """One stay in one phase, from `start_s` up to but not including `end_s`."""

    index: int
    start_s: float
    end_s: float


class Phases:
    """A sequence of phases that follow each other in time, starting at 0.

    The last phase holds for ever, whatever its own length, unless the sequence repeats.
    """

    def __init__(self, seconds: Sequence[float], repeats: bool = False) -> None:
        if not seconds or min(seconds) <= 0:
            raise ValueError(f"phases need lengths above 0, not {list(seconds)}")
        self.seconds = tuple(seconds) if repeats else (*seconds[:-1], inf)
        self.repeats = repeats
        ends = list(accumulate(self.seconds))
        self.period_s = ends[-1]
        self._starts_s = [0.0, *ends[:-1]]
        # Most links have one phase, and a simulation asks for it with every packet.
        self._only = Span(0, 0.0, inf) if len(self.seconds) == 1 and not repeats else None

    def __len__(self) -> int:
        return len(self.seconds)

    def at(self, now_s: float) -> Span:
        """The span that holds at `now_s`."""
        return self._only or next(self.spans(now_s))

    def spans(self, from_s: float) -> Iterator[Span]:
        """The span that holds at `from_s` and all after it; endless where the phases repeat."""
        for ordinal in count(self._ordinal(from_s)):
            start_s, end_s = self._start_s(ordinal), self._start_s(ordinal + 1)
            yield Span(ordinal % len(self), start_s, end_s)
            if end_s == inf:
                return

    def _start_s(self, ordinal: int) -> float:
        cycle, index = divmod(ordinal, len(self))
        if not self.repeats:
            return self._starts_s[index] if cycle == 0 else inf
        return cycle * self.period_s + self._starts_s[index]

    def _ordinal(self, now_s: float) -> int:
        if not self.repeats:
            return bisect_right(self._starts_s, now_s) - 1
        cycle = int(now_s // self.period_s)
        index = bisect_right(self._starts_s, now_s - cycle * self.period_s) - 1
        ordinal = cycle * len(self) + index
        # Rounding can put a time that is exactly a boundary on its other side.
        while self._start_s(ordinal + 1) <= now_s:
            ordinal += 1
        while ordinal > 0 and self._start_s(ordinal) > now_s:
            ordinal -= 1
        return ordinal


ALWAYS = Phases((inf,))
"""One phase that holds for ever."""

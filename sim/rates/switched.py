"""A rate that is put together from one source per phase, with gaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import floor, inf

from sim.phases import Phases, Span
from sim.rates.source import CRUMB_BYTES, RateSource

__all__ = ["SwitchedRate", "Window"]

Window = tuple[float, float]
"""A stretch of time from its start up to but not including its end, in seconds."""


@dataclass(frozen=True)
class _Piece:
    """A stretch of link time in which one source serves; `origin_s` is the source's own zero."""

    source: RateSource
    origin_s: float
    begin_s: float
    end_s: float

    def finish_s(self, nbytes: float) -> float:
        return self.origin_s + self.source.finish_s(self.begin_s - self.origin_s, nbytes)

    def served_bytes(self, until_s: float) -> float:
        return self.source.served_bytes(self.begin_s - self.origin_s, until_s - self.origin_s)


class SwitchedRate:
    """The rate of a link with phases: each phase's source serves while the phase holds.

    A source's time starts at 0 whenever its phase begins. `gaps` are, for each phase, sorted
    windows counted from its begin in which nothing is served.
    """

    def __init__(
        self, phases: Phases, sources: Sequence[RateSource], gaps: Sequence[Sequence[Window]]
    ) -> None:
        self._phases, self._sources, self._gaps = phases, tuple(sources), tuple(gaps)
        steady = len(phases) == 1 and not phases.repeats and not self._gaps[0]
        self.only: RateSource | None = self._sources[0] if steady else None
        """The source whose time is the link's, as with most links: one phase without gaps."""
        self._cycle_bytes = self.served_bytes(0.0, phases.period_s) if phases.repeats else inf

    def served_bytes(self, from_s: float, to_s: float) -> float:
        """The integral of the rate from `from_s` to `to_s`, in bytes."""
        total = 0.0
        for piece in self._pieces(from_s, to_s):
            total += piece.served_bytes(min(piece.end_s, to_s))
        return total

    def finish_s(self, start_s: float, nbytes: float) -> float:
        """The first time by which `nbytes` are served from `start_s` on; infinite if never."""
        if nbytes <= 0:
            return start_s
        if self.only is not None:
            return self.only.finish_s(start_s, nbytes)
        if self._cycle_bytes == 0:
            return inf
        # Whole cycles serve the same bytes from wherever they start; leave the last to the loop.
        cycles = max(floor(nbytes / self._cycle_bytes) - 1, 0)
        if cycles:
            start_s += cycles * self._phases.period_s
            nbytes -= cycles * self._cycle_bytes
        for piece in self._pieces(start_s, inf):
            finish_s = piece.finish_s(nbytes)
            if finish_s <= piece.end_s:
                return finish_s
            nbytes -= piece.served_bytes(piece.end_s)
            if nbytes < CRUMB_BYTES:
                return piece.end_s
        return inf

    def _pieces(self, from_s: float, to_s: float) -> Iterator[_Piece]:
        for span in self._phases.spans(from_s):
            if span.start_s >= to_s:
                return
            for begin_s, end_s in self._open(span):
                if max(begin_s, from_s) < end_s and begin_s < to_s:
                    source = self._sources[span.index]
                    yield _Piece(source, span.start_s, max(begin_s, from_s), end_s)

    def _open(self, span: Span) -> Iterator[Window]:
        begin_s = span.start_s
        for gap_start_s, gap_end_s in self._gaps[span.index]:
            yield begin_s, min(span.start_s + gap_start_s, span.end_s)
            begin_s = span.start_s + gap_end_s
        yield begin_s, span.end_s

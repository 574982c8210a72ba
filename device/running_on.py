"""Running on: which sample an idle processor goes on with while answers are under way."""

from __future__ import annotations

import math

from device.hedge import Hedge, patience_s
from device.inflight import InFlight
from device.rhythm import Rhythm
from device.work import Work

__all__ = ["RunningOn"]


class RunningOn:
    """Goes on with samples ``in_flight``, segment by segment, within a hedge's budget.

    Not if that would hold up the next sample to come. Where that may come at any time, ``rate_hz``
    times a second, not before an answer is so late that it pays all the same.
    """

    __slots__ = ("_hedge", "_in_flight", "_rate_hz", "_rhythm")

    def __init__(
        self, hedge: Hedge, in_flight: InFlight, rhythm: Rhythm, rate_hz: float | None
    ) -> None:
        self._hedge, self._in_flight = hedge, in_flight
        self._rhythm, self._rate_hz = rhythm, rate_hz

    def is_open(self, now_s: float) -> bool:
        """Tell whether there is budget left."""
        return self._hedge.is_open(now_s)

    def come_to(self, work: Work, at: int, stretch: float) -> None:
        """Note how a sample can go on from boundary ``at``, and from when on that pays."""
        board = work.board
        assert board is not None
        work.at, work.options = at, board.options(at, work.exits, stretch)
        if not board.holds_all or at == board.depth:
            work.pays_s = math.inf
        elif self._rhythm.regular or self._rate_hz is None:
            work.pays_s = -math.inf
        else:
            step_s, rest_s = board.step_s(at) * stretch, work.options[0].time_s
            work.pays_s = work.answer_s + patience_s(step_s, rest_s, self._rate_hz)

    def choose(self, now_s: float) -> Work | None:
        """Return the sample that it pays to go on with now, if there is one."""
        work = self._in_flight.next_up()
        if work is None or not self._hedge.is_open(now_s) or now_s < work.pays_s:
            return None
        return work

    def fits(self, now_s: float, end_s: float) -> bool:
        """Tell whether no sample is expected before a segment would end."""
        return not now_s < self._rhythm.next_s() < end_s

    def spend(self, work: Work, now_s: float) -> None:
        """Take in that a segment has ended now."""
        took_s = now_s - work.step_begun_s
        work.hedge_s += took_s
        self._hedge.spend(took_s)

    def next_s(self, now_s: float) -> float:
        """Return when the processor may go on, where only time keeps it from that."""
        if not self._hedge.is_open(now_s):
            return self._hedge.opens_s(now_s)
        work = self._in_flight.next_up()
        if work is not None and now_s < work.pays_s:
            return work.pays_s
        arrival_s = self._rhythm.next_s()
        return arrival_s if arrival_s > now_s else math.inf

"""Giving up: until when a sample's answer is waited for, and whether it is counted on."""

from __future__ import annotations

from device.controller import Controller
from device.fallback import give_up_s
from device.inflight import InFlight
from device.work import Work

__all__ = ["MARGIN_S", "GivingUp"]

MARGIN_S = 0.005


class GivingUp:
    """Notes when answers are likely, and from when on the device has to answer by itself."""

    __slots__ = ("_controller", "_in_flight")

    def __init__(self, controller: Controller, in_flight: InFlight) -> None:
        self._controller, self._in_flight = controller, in_flight

    def note(
        self, now_s: float, work: Work, stretch: float, gap_s: float, ahead_s: float = 0.0
    ) -> None:
        """Note it of a sample that is sent so long from now; others came behind it by this gap.

        It is infinite if none waits for the processor. If they come faster than the device could
        answer each as well as it can, an answer is counted on that comes in time even over a link
        somewhat slower than believed. If each sample fell back lest the link be silent, the next
        ones would have as little time, for ever.
        """
        assert work.plan is not None
        assert work.board is not None
        cut, sent_s = work.plan.cut, now_s + ahead_s
        expected = self._controller.expect(now_s, work.size_bytes, cut, ahead_s)
        work.answer_s, work.expected_s = sent_s + expected.likely_s, sent_s + expected.latest_s
        head_s = work.board.reached_s(cut, frozenset()) * stretch
        work.give_up_s = give_up_s(
            work.options,
            deadline_s=work.deadline_s,
            expected_s=work.expected_s,
            reserve_s=MARGIN_S + self._in_flight.quickest_s() + head_s,
        )
        cautious_s = sent_s + expected.cautious_s
        best_s = work.board.options(0, frozenset(), stretch)[0].time_s
        work.counted_on = gap_s < best_s and cautious_s <= work.deadline_s
        if work.counted_on:
            work.give_up_s = max(work.give_up_s, cautious_s)

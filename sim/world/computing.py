"""Computing: the samples that a virtual device holds, and what its processor does with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from device.dispatch import Dispatch
from device.work import Action, FallBack, Finish, Reached, RunHead, RunOn, Work
from sim.world.clock import Clock
from sim.world.counting import Counting
from sim.world.parts import Parts
from sim.world.processor import Held

__all__ = ["Computing"]


class Computing:
    """Takes what the dispatch asks of the processor, and tells it when that is done.

    ``tell`` is given what the dispatch then asks for. What ends takes as long as the profile says,
    times how much longer the device takes when it begins. ``taken`` counts the samples that no
    longer wait for the processor: their heads began, or they were dropped.
    """

    __slots__ = ("_clock", "_counting", "_dispatch", "_held", "_parts", "_tell", "taken")

    def __init__(
        self,
        clock: Clock,
        parts: Parts,
        dispatch: Dispatch,
        counting: Counting,
        tell: Callable[[Iterable[Action]], None],
    ) -> None:
        self._clock, self._parts, self._dispatch = clock, parts, dispatch
        self._counting, self._tell = counting, tell
        self._held: dict[int, Held] = {}
        self.taken = 0

    def hold(self, number: int, sample: int) -> None:
        """Hold a request, which is one of the calibration samples."""
        self._held[number] = Held(sample)

    def held(self, work: Work) -> Held:
        """Return what is held of a sample."""
        return self._held[work.id]

    def let_go(self, action: Finish) -> Held:
        """Hold a request no longer; return what was held, with whether its answer is right."""
        held = self._held.pop(action.work.id)
        self.taken += held.outcomes is None
        if action.by == "server":
            assert held.outcomes is not None
            held.right, held.exit = bool(held.outcomes.right[held.sample]), None
        return held

    def run_head(self, action: RunHead) -> None:
        """Run a head, and encode what is to be sent."""
        parts, held = self._parts, self._held[action.work.id]
        self.taken += 1
        begun_s = self._clock.now_s + parts.handover_s
        stretch = parts.load.stretch(begun_s)
        took_s, reached = parts.processor.run_head(action, held, begun_s, stretch, parts.readiness)
        self._counting.computed(action.work, took_s)
        self._clock.at(begun_s + took_s, self._head_done, reached)

    def fall_back(self, action: FallBack) -> None:
        """Answer a sample with what there is time for."""
        parts, held, now_s = self._parts, self._held[action.work.id], self._clock.now_s
        took_s = parts.processor.fall_back(action, held, now_s, parts.load.stretch(now_s))
        self._counting.computed(action.work, took_s)
        self._clock.at(now_s + took_s, self._fell_back)

    def run_on(self, action: RunOn) -> None:
        """Run one more segment of a sample whose answer is under way."""
        parts, work, now_s = self._parts, action.work, self._clock.now_s
        took_s = parts.processor.step_s(work.at) * parts.load.stretch(now_s)
        self._counting.computed(work, took_s, hedging=True)
        self._clock.at(now_s + took_s, self._ran_on, work)

    def _head_done(self, reached: Reached) -> None:
        self._tell(self._dispatch.head_done(self._clock.now_s, reached))

    def _fell_back(self, _: object) -> None:
        self._tell(self._dispatch.fell_back(self._clock.now_s))

    def _ran_on(self, work: Work) -> None:
        if held := self._held.get(work.id):  # else the server was first
            self._parts.processor.run_on(held, work)
        self._tell(self._dispatch.ran_on(self._clock.now_s, work.at + 1))

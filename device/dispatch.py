"""The dispatch: what the device does next with every sample.

Events go in, each with its time; the actions that follow come out. It knows no tensor, thread,
clock or socket: the agent drives it in real time, and the simulator can in virtual time. It keeps
these promises:

- Each sample that arrives is finished once.
- At most ``max_in_flight`` samples wait for the server; the others are answered on the device.
- The processor is never given what would make a sample in flight late if the server is silent:
  a head that would end too late for that is hurried or waits, and an answer is waited for only as
  long as there is time for one of the device's own. Only if samples come faster than the device
  could answer them is an answer counted on that is likely in time.
- Nor is it given what would let the inbox run over, as long as there is a quicker answer.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from device.board import Board
from device.controller import Controller
from device.giving_up import MARGIN_S, GivingUp
from device.hedge import Hedge
from device.inflight import InFlight
from device.reasons import HURRIED, LATE, PASSED, TOO_LATE_TO_SEND, full, refusal, unconnected
from device.result import Status
from device.rhythm import Rhythm
from device.running_on import RunningOn
from device.settings import AgentSettings
from device.stream import Stream
from device.work import (
    Action,
    BundleChange,
    FallBack,
    Finish,
    LoadDue,
    Reached,
    RunHead,
    RunOn,
    Work,
)
from offramp.messages import Failure, Load, Timeline
from partitioner.plan import Plan

if TYPE_CHECKING:
    from device.deployment import Deployment

__all__ = ["Dispatch"]

_GRACE_S = 0.05  # an answer so late is still worth more than none
_LOAD_S = 1.0


class Dispatch:
    """Decides for one run; methods that are events return the actions to take, in order."""

    def __init__(self, controller: Controller, settings: AgentSettings) -> None:
        self._controller = controller
        self._settings = settings
        controller.rate_hz = settings.rate_hz or 0.0
        planner = controller.planner
        self._board = Board(planner.device, planner.bundle.manifest)
        self._inbox: deque[Work] = deque()
        self._running: Work | None = None
        self._past_head = False
        self._in_flight = InFlight()
        self._giving_up = GivingUp(controller, self._in_flight)
        self._stream = Stream(controller, settings.server)
        self._begun = self._ended = False
        self._rhythm = Rhythm(settings.rate_hz)
        self._running_on = self._new_running_on()
        self._successor: Deployment | None = None
        self._settled_s = self._next_load_s = -math.inf
        self._actions: list[Action] = []

    # -- what the driver may ask

    @property
    def up(self) -> bool:
        """Whether there is a connection."""
        return bool(self._stream.up)

    @property
    def warm(self) -> bool:
        """Whether the link is known from a first row of probes."""
        return self._stream.warm

    @property
    def link_reason(self) -> str:
        """Why there is no connection."""
        return self._stream.reason

    @property
    def wants_sample(self) -> bool:
        """Whether the next sample of a source that can wait is to arrive."""
        return not self._inbox

    @property
    def done(self) -> bool:
        """Whether no more samples come and all are finished."""
        return self._ended and not (self._inbox or self._running or self._in_flight)

    @property
    def waiting(self) -> int:
        """How many samples wait for the server."""
        return self._in_flight.waiting

    def wake_s(self, now_s: float) -> float:
        """Return when to tell `passed` next, if nothing else happens until then."""
        load_s = self._next_load_s if self._begun else math.inf
        next_s = min(self._in_flight.next_expected_s(), self._stream.wake_s, load_s)
        if self._running is None and self._in_flight:
            next_s = min(next_s, self._in_flight.next_due_s(), self._running_on.next_s(now_s))
        return next_s

    # -- events

    def begun(self, now_s: float) -> list[Action]:
        """Samples come from now on, whether there is a connection or not."""
        self._begun = True
        self._stream.end_start()
        if self._stream.up is None:
            return self.disconnected(now_s, self._stream.reason)
        return self._settle(now_s)

    def arrived(self, now_s: float, sample: int) -> list[Action]:
        """A sample came; of a full inbox the oldest one is dropped."""
        if len(self._inbox) >= self._settings.inbox:
            self._drop(self._inbox.popleft(), full(self._settings.inbox))
        self._rhythm.arrived(now_s)
        self._controller.unevenness = self._rhythm.unevenness
        self._inbox.append(Work(sample, now_s, now_s + self._settings.deadline_s))
        return self._settle(now_s)

    def ended(self, now_s: float) -> list[Action]:
        """No more samples come."""
        self._ended = True
        self._rhythm.end()
        return self._settle(now_s)

    def head_done(self, now_s: float, reached: Reached) -> list[Action]:
        """The processor ended the head that it was given."""
        work = self._free_processor()
        expected_s = self._board.reached_s(reached.at, reached.exits)
        self._controller.computed(now_s, reached.head_s, expected_s)
        work.wait_s = now_s - work.arrived_s - reached.head_s - reached.encode_s
        if reached.hurried:
            work.reason = HURRIED
        if reached.answered:
            self._controller.kept_here()
            self._actions.append(Finish(work, "degraded" if reached.hurried else "ok", "device"))
        else:
            self._let_wait(now_s, work, reached)
        return self._settle(now_s)

    def fell_back(self, now_s: float) -> list[Action]:
        """The processor ended the fallback that it was given."""
        work = self._free_processor()
        if self._in_flight.holds(work):  # else the server was first
            self._in_flight.remove(work)
            work.fallback_s = now_s - work.begun_s
            self._actions.append(Finish(work, "degraded", "device"))
        return self._settle(now_s)

    def ran_on(self, now_s: float, at: int) -> list[Action]:
        """The processor has come to boundary ``at`` with the sample that it was to run on."""
        work = self._free_processor()
        self._running_on.spend(work, now_s)
        if self._in_flight.holds(work):  # else the server was first
            assert work.board is not None
            self._running_on.come_to(work, at, self._stretch(now_s))
            if at == work.board.depth:
                waited = self._in_flight.remove(work)
                if waited:
                    self._controller.outrun(now_s, work.id)
                status: Status = "ok" if waited else "degraded"
                self._stream.withdraw(work)
                self._actions.append(Finish(work, status, "device"))
        return self._settle(now_s)

    def failed(self, now_s: float, reason: str) -> list[Action]:
        """The processor found that the model does not take the sample that it was given."""
        past_head, work = self._past_head, self._free_processor()
        if past_head and not self._in_flight.holds(work):
            return self._settle(now_s)  # the server has answered it
        self._in_flight.remove(work)
        work.reason = reason
        self._actions.append(Finish(work, "failed"))
        return self._settle(now_s)

    def answered(self, now_s: float, message: int, timeline: Timeline, load: Load) -> list[Action]:
        """The server answered a sample or probe, in time or late."""
        self._controller.answered(now_s, message, timeline, load)
        self._stream.answered(message)
        work = self._in_flight.pop(message)
        if work is not None:
            if work.reason:  # it falls back meanwhile
                work.fallback_s = now_s - work.begun_s
            work.reason = ""
            self._actions.append(Finish(work, "ok", "server"))
        return self._settle(now_s)

    def refused(self, now_s: float, message: int, failure: Failure) -> list[Action]:
        """The server answered a sample with a failure, or the answer cannot be read."""
        self._stream.refused(now_s, message, failure)
        work = self._in_flight.pop(message)
        if work is not None:
            self._in_flight.forsake(work, refusal(failure))
        return self._settle(now_s)

    def served(self, now_s: float) -> list[Action]:
        """The server says that it holds the bundle."""
        self._controller.served()
        return self._settle(now_s)

    def connected(self, now_s: float) -> list[Action]:
        """The stream opened."""
        self._actions.extend(self._stream.opened(now_s))
        return self._settle(now_s)

    def disconnected(self, now_s: float, reason: str) -> list[Action]:
        """The stream broke, or could not be opened."""
        self._actions.extend(self._stream.broke(now_s, reason))
        self._in_flight.forsake_all(reason)
        return self._settle(now_s)

    def moved(self, now_s: float, reason: str) -> list[Action]:
        """A stream to another server opened; what the one before it has is still answered."""
        self._actions.extend(self._stream.moved(now_s, reason))
        self._in_flight.expect_none()
        return self._settle(now_s)

    def left(self, now_s: float, reason: str) -> list[Action]:
        """The stream takes no more, and there is no other; what it has is still answered."""
        self._actions.extend(self._stream.broke(now_s, reason))
        self._in_flight.expect_none()
        self._in_flight.forsake_unsent(reason)
        return self._settle(now_s)

    def stream_ready(self, now_s: float) -> list[Action]:
        """The stream can take one message."""
        self._stream.became_ready()
        if now_s == self._settled_s:  # as when it has just taken one: all else is settled
            return [*self._stream.take_waiting()]
        return self._settle(now_s)

    def deployed(self, now_s: float, successor: Deployment) -> list[Action]:
        """A bundle that is to take the place of the one that runs is ready."""
        self._successor = successor
        return self._settle(now_s)

    def passed(self, now_s: float) -> list[Action]:
        """Time passed."""
        return self._settle(now_s)

    # -- what follows

    def _settle(self, now_s: float) -> list[Action]:
        noted, self._actions = self._actions, []
        for work in self._in_flight.pass_expected(now_s):
            self._controller.overdue(now_s, work.id)
        if self._running is None:
            if self._successor is not None:
                self._go_over(now_s, self._successor)
            self._start_next(now_s)
        if self._running is None and self._in_flight.waiting:
            self._run_on(now_s)
        self._report(now_s)
        self._settled_s = now_s
        given, self._actions = self._actions, []
        return [*noted, *self._stream.take(now_s), *given]  # what goes out need not wait for work

    def _go_over(self, now_s: float, successor: Deployment) -> None:
        """Go over to the next deployment; samples whose heads are done end under the old one."""
        self._successor, planner = None, successor.planner
        self._controller.renew(planner, successor.head.is_ready)
        self._board = Board(planner.device, planner.bundle.manifest)
        self._running_on = self._new_running_on()
        self._actions.append(BundleChange(now_s, successor))

    def _start_next(self, now_s: float) -> None:
        """Give the processor a sample that is due, else the head of the next one."""
        work = self._in_flight.pop_due(now_s)
        if work is not None:
            self._fall_back(now_s, work)
        while self._running is None and self._inbox and self._may_start():
            work = self._inbox[0]
            if now_s >= work.deadline_s + _GRACE_S:
                self._drop(work, PASSED)
            elif not self._start_head(now_s, work):
                return
            self._inbox.popleft()

    def _may_start(self) -> bool:
        """Samples that arrive by themselves cannot wait for room on the link; others can."""
        return self._settings.rate_hz is not None or self._has_room()

    def _start_head(self, now_s: float, work: Work) -> bool:
        """Give the processor a head, unless there is too little time before it is needed."""
        self._controller.hedged = self._board.holds_all and self._running_on.is_open(now_s)
        plan = self._controller.plan(now_s)
        self._actions.extend(self._controller.take_changes())
        if plan.level is not None and not self._may_send(now_s, work, plan):
            plan = self._controller.local_plan(now_s)
        latest_s, stretch = self._in_flight.latest_start_s(), self._stretch(now_s)
        if plan.level is None:
            options = self._board.options(0, frozenset(), stretch)
            if now_s + options[-1].time_s > latest_s - MARGIN_S:
                return False
        work.plan = plan
        self._running = work
        overflow_s = self._overflow_s(len(self._inbox) - 1)
        until_s = min(work.deadline_s, latest_s, overflow_s) - MARGIN_S
        self._actions.append(RunHead(work, until_s, stretch))
        return True

    def _may_send(self, now_s: float, work: Work, plan: Plan) -> bool:
        """Tell whether a sample may go to the server, and all could still be answered here."""
        if not (self._stream.is_welcome(now_s) and self._has_room()):
            return False
        stretch = self._stretch(now_s)
        work.options = self._board.options(plan.cut, self._board.opened(plan), stretch)
        ahead_s = self._board.encoded_s(plan) * stretch
        if now_s > work.arrived_s:  # else there is as much time as the plan counts on
            work.plan, work.size_bytes = plan, self._controller.planner.sent_bytes(plan)
            work.board = self._board
            self._giving_up.note(now_s, work, stretch, self._gap_s(work), ahead_s)
            if work.give_up_s <= now_s + ahead_s:
                return False
        doubtful = [] if work.counted_on else [work]
        overflow_s = self._overflow_s(len(self._inbox) - 1)
        free_s = min(self._in_flight.latest_start_s(*doubtful), overflow_s)
        return now_s + ahead_s <= free_s - MARGIN_S

    def _gap_s(self, work: Work) -> float:
        """Return how far apart samples came of late; infinite if none that presses waits for one.

        Those that were dropped meanwhile count, too: samples are numbered as they come.
        """
        behind = self._inbox[-1].id - work.id if self._inbox else 0
        if self._settings.rate_hz is None or behind <= 0:
            return math.inf
        return (self._inbox[-1].arrived_s - work.arrived_s) / behind

    def _overflow_s(self, waiting: int) -> float:
        """Return when a sample would find the inbox full, if the processor takes none before."""
        return self._rhythm.next_s(self._settings.inbox - waiting + 1)

    def _let_wait(self, now_s: float, work: Work, reached: Reached) -> None:
        """Send a sample if there is time to wait for its answer, else let it fall back."""
        assert work.plan is not None
        work.board, work.exits, work.size_bytes = self._board, reached.exits, reached.size_bytes
        stretch = self._stretch(now_s)
        work.options = self._board.options(reached.at, reached.exits, stretch)
        self._giving_up.note(now_s, work, stretch, self._gap_s(work))
        self._running_on.come_to(work, reached.at, stretch)
        if not self._stream.up:
            self._in_flight.forsake(work, unconnected(self._stream.reason))
        elif work.give_up_s <= now_s:
            self._in_flight.forsake(work, TOO_LATE_TO_SEND)
        else:
            work.sent_s = now_s
            self._in_flight.add(work)
            self._stream.put(now_s, work)

    def _run_on(self, now_s: float) -> None:
        """Give the processor, which is idle, one segment of a sample whose answer is under way.

        Not if that would hold up one that is in flight, or the inbox would run over.
        """
        work = self._running_on.choose(now_s)
        if work is None:
            return
        assert work.board is not None
        end_s = now_s + work.board.step_s(work.at) * self._stretch(now_s)
        latest_s = min(self._in_flight.latest_start_s(), self._overflow_s(len(self._inbox)))
        if end_s > latest_s - MARGIN_S or not self._running_on.fits(now_s, end_s):
            return
        self._running, self._past_head = work, True
        work.step_begun_s = now_s
        self._actions.append(RunOn(work))

    def _new_running_on(self) -> RunningOn:
        """Return what computes on, which a strategy may do without."""
        hedges, power = self._controller.strategy.hedges, self._controller.planner.device.power
        hedge = Hedge(self._settings.hedge.share(power) if hedges else 0.0)
        return RunningOn(hedge, self._in_flight, self._rhythm, self._settings.rate_hz)

    def _fall_back(self, now_s: float, work: Work) -> None:
        if not work.reason:
            work.reason = LATE
            if work.overdue:  # else the device had too little time
                self._controller.unanswered(now_s)
        self._running, self._past_head = work, True
        work.begun_s = now_s
        free_s = min(self._in_flight.latest_start_s(), self._overflow_s(len(self._inbox)))
        until_s = min(work.deadline_s, free_s) - MARGIN_S
        self._actions.append(FallBack(work, until_s, self._stretch(now_s)))

    def _report(self, now_s: float) -> None:
        if self._begun and now_s >= self._next_load_s:
            self._next_load_s = now_s + _LOAD_S
            self._actions.append(LoadDue(now_s, self._controller.conditions(now_s)))

    def _drop(self, work: Work, reason: str) -> None:
        work.reason = reason
        work.plan = work.board = None  # of an attempt to send it
        self._actions.append(Finish(work, "dropped"))

    def _free_processor(self) -> Work:
        work, self._running, self._past_head = self._running, None, False
        assert work is not None
        return work

    def _has_room(self) -> bool:
        return self._in_flight.waiting < self._settings.max_in_flight

    def _stretch(self, now_s: float) -> float:
        return self._controller.device_stretch.at(now_s)

"""Virtual devices: the deployed dispatch and controller, driven in virtual time.

What `device.agent` does with threads, tensors and a connection happens here as events: a head ends
after the profile's time, a message arrives when the link lets it, an answer is right if the
calibration sample's was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from device.controller import Controller
from device.dispatch import Dispatch
from device.in_force import PlanChange
from device.pauses import SHORTEST_S, WARM_S
from device.work import (
    Action,
    FallBack,
    Finish,
    LinkChange,
    LoadDue,
    RunHead,
    RunOn,
    Send,
)
from offramp.messages import Failure, Load, Probe, Timeline
from partitioner.plan import Plan
from sim.world.alarm import Alarm
from sim.world.clock import Clock
from sim.world.computing import Computing
from sim.world.connection import Connection
from sim.world.counting import Counting
from sim.world.feeding import Feeding
from sim.world.job import Job
from sim.world.parts import Parts
from sim.world.requests import Requests
from sim.world.sending import Sending

__all__ = ["Parts", "VirtualDevice"]


class VirtualDevice:
    """Runs its requests through one bundle; ``plan`` is the one that it took up last.

    Once all are finished it is ``done``, at ``ended_s``.
    """

    def __init__(
        self,
        clock: Clock,
        parts: Parts,
        requests: Requests,
        connection: Connection | None,
    ) -> None:
        self._clock, self._parts, self._connection = clock, parts, connection
        self.dispatch = dispatch = Dispatch(parts.controller, parts.settings)
        self._counting = Counting(parts.tally, requests.counted_from_s)
        self._computing = Computing(clock, parts, dispatch, self._counting, self._tell)
        self._feeding = Feeding(clock, requests, dispatch, self._computing, self._tell)
        if connection is not None:
            digest = parts.controller.planner.bundle.digest
            self._sending = Sending(clock, connection, self._counting, digest)
        self._prepared = self.done = False
        self.ended_s = 0.0
        self.plan: Plan | None = None
        self._alarm = Alarm(clock, self._wake)
        if parts.readiness is not None:
            parts.controller.ready = self._is_ready

    @property
    def name(self) -> str:
        """The device's name."""
        return self._parts.name

    @property
    def controller(self) -> Controller:
        """What decides on its plans."""
        return self._parts.controller

    @property
    def began_s(self) -> float:
        """From when on its requests come."""
        return self._feeding.began_s

    @property
    def taken(self) -> int:
        """How many of its requests wait no longer for the processor."""
        return self._computing.taken

    def _is_ready(self, plan: Plan) -> bool:
        assert self._parts.readiness is not None
        return self._parts.readiness.has(self._clock.now_s, plan)

    def start(self) -> None:
        """Connect, and begin once the link is known or there is none."""
        if self._connection is None:
            self._feeding.begin()
            return
        self._connection.open(self)
        now_s = self._clock.now_s
        self._clock.at(now_s + self._parts.settings.connect_s, self._give_up_waiting)
        self._clock.at(now_s + WARM_S, self._feeding.begin)

    # -- what the connection tells

    def connected(self) -> None:
        """The stream opened."""
        self._sending.heard()
        self._tell(self.dispatch.connected(self._clock.now_s))
        self._stream_ready()

    def disconnected(self, reason: str) -> None:
        """The stream broke, or could not be opened."""
        self._sending.heard()
        self._counting.disconnected()
        self._tell(self.dispatch.disconnected(self._clock.now_s, reason))

    def served(self, job: Job, timeline: Timeline, load: Load) -> None:
        """The server answered; the answer has now come back over the link."""
        now_s = self._clock.now_s
        self._sending.heard()
        self._counting.served(now_s, job.spent_s)
        self._tell(self.dispatch.answered(now_s, job.id, timeline, load))

    def replied(self, probe: Probe, timeline: Timeline, load: Load) -> None:
        """The server's reply to a probe has come back."""
        now_s = self._clock.now_s
        self._sending.heard()
        self._counting.replied(now_s, probe)
        self._tell(self.dispatch.answered(now_s, probe.id, timeline, load))

    def turned_away(self, job: Job, failure: Failure) -> None:
        """A failure has come back."""
        now_s = self._clock.now_s
        self._sending.heard()
        self._tell(self.dispatch.refused(now_s, job.id, failure))

    # -- the beginning

    def _give_up_waiting(self, _: object) -> None:
        if not self.dispatch.up:
            self._feeding.begin()

    def _prepare(self, now_s: float) -> None:
        """Load what the first plan is likely to send by, then begin."""
        self._prepared = True
        readiness = self._parts.readiness
        if readiness is None:
            self._feeding.begin()
        elif not self._feeding.begun:
            plan = self.controller.likely_plan(now_s)
            self._clock.at(readiness.expect(now_s, plan), self._feeding.begin)

    # -- actions

    def _tell(self, actions: Iterable[Action]) -> None:
        """Do what the dispatch asks for, and tell it when the stream is ready for more."""
        now_s = self._clock.now_s
        while True:
            ready_s: float | None = None
            for action in actions:
                told = _ACTS[type(action)](self, action)
                ready_s = told if told is not None else ready_s
            if ready_s is None:
                break
            if ready_s > now_s:
                self._await_ready(ready_s)
                break
            actions = self.dispatch.stream_ready(now_s)
        if not self._prepared and self.dispatch.warm:
            self._prepare(now_s)
        self._rearm(now_s)

    def _run_head(self, action: RunHead) -> None:
        self._computing.run_head(action)

    def _fall_back(self, action: FallBack) -> None:
        self._computing.fall_back(action)

    def _run_on(self, action: RunOn) -> None:
        self._computing.run_on(action)

    def _send(self, action: Send) -> float:
        return self._sending.send(action, self._computing.held(action.work))

    def _probe(self, probe: Probe) -> float:
        return self._sending.probe(probe)

    def _finish(self, action: Finish) -> None:
        now_s, held = self._clock.now_s, self._computing.let_go(action)
        self._counting.finished(now_s, action, held)
        if self._parts.watch is not None:
            self._parts.watch(now_s, action, held)

    def _take_up(self, change: PlanChange) -> None:
        self.plan = change.plan

    def _note(self, action: object) -> None:
        """Changes of the link and reports of load are for a journal, which is not kept."""

    # -- time

    def _await_ready(self, ready_s: float) -> None:
        if ready_s < math.inf and self._connection is not None:
            self._clock.at(ready_s, self._became_ready, self._connection.stream)

    def _became_ready(self, stream: int) -> None:
        if self._connection is not None and self._connection.stream == stream:
            self._stream_ready()

    def _stream_ready(self) -> None:
        self._tell(self.dispatch.stream_ready(self._clock.now_s))

    def _rearm(self, now_s: float) -> None:
        """See to it that time passes for the dispatch when it asks for it."""
        if self.done:
            return
        if self.dispatch.done:
            self.done, self.ended_s = True, now_s
            if self._connection is not None:
                self._connection.close()
            return
        if self._feeding.is_due:
            self._feeding.feed()  # which comes back here
            return
        self._alarm.set(max(self.dispatch.wake_s(now_s), now_s + SHORTEST_S))

    def _wake(self) -> None:
        if self.done:
            return
        if self._connection is not None and self._sending.is_hopeless():
            self._connection.break_off("the server fell silent")
        else:
            self._tell(self.dispatch.passed(self._clock.now_s))


_ACTS: dict[type, Callable[[VirtualDevice, Any], float | None]] = {
    RunHead: VirtualDevice._run_head,
    FallBack: VirtualDevice._fall_back,
    RunOn: VirtualDevice._run_on,
    Send: VirtualDevice._send,
    Probe: VirtualDevice._probe,
    Finish: VirtualDevice._finish,
    LinkChange: VirtualDevice._note,
    PlanChange: VirtualDevice._take_up,
    LoadDue: VirtualDevice._note,
}
"""What a device does for each kind of action; what is sent returns when the stream takes more."""

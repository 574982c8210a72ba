"""The connection of a virtual device: messages go over the link to the server and back.

Those on their way when it breaks are lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

from edge_server.security.clients import Client
from offramp.messages import Failure, Load, Probe, Timeline
from partitioner.costs import FRAME_OVERHEAD_BYTES
from sim.world.clock import Clock
from sim.world.dialling import Dialling
from sim.world.job import Job
from sim.world.link import VirtualLink
from sim.world.server import VirtualServer
from sim.world.spread import Draws

__all__ = ["ANSWER_OVERHEAD_BYTES", "Connection", "Listener", "Sent"]

ANSWER_OVERHEAD_BYTES = 50 + FRAME_OVERHEAD_BYTES
"""Bytes that an answer adds to its outputs: what a request does, timeline and load."""


class Listener(Protocol):
    """Who hears of a connection, at the device's end of the link."""

    def connected(self) -> None:
        """Take that the stream opened."""

    def disconnected(self, reason: str) -> None:
        """Take that it broke, or could not be opened."""

    def served(self, job: Job, timeline: Timeline, load: Load) -> None:
        """Take the answer to a job."""

    def turned_away(self, job: Job, failure: Failure) -> None:
        """Take why a job has none."""

    def replied(self, probe: Probe, timeline: Timeline, load: Load) -> None:
        """Take the reply to a probe."""


class Sent(NamedTuple):
    """When the stream takes the next message, and how long the uplink was busy with this one."""

    ready_s: float
    sending_s: float


class Connection:
    """The way of one device, a ``client``, to its server, over ``stream`` after ``stream``.

    ``rpc_s`` draws what a message and its answer cost besides bytes on the link and the engine:
    serialisation, HTTP/2 and hand-overs between threads at both ends. Half of the least passes on
    the way to the server, the rest on the way back; what spreads does not change the order.
    """

    __slots__ = (
        *("_answer_bytes", "_back_s", "_clock", "_dialling", "_listener", "_rpc_s", "_server"),
        *("_way_s", "client", "link", "stream"),
    )

    def __init__(
        self,
        clock: Clock,
        link: VirtualLink,
        server: VirtualServer,
        *,
        client: Client,
        answer_bytes: int,
        rpc_s: Draws,
    ) -> None:
        self.link, self.client, self.stream = link, client, 0
        self._clock, self._server = clock, server
        self._answer_bytes = answer_bytes + ANSWER_OVERHEAD_BYTES
        self._rpc_s, self._way_s = rpc_s, rpc_s.least_s / 2
        self._back_s = 0.0
        self._listener: Listener | None = None
        self._dialling = Dialling(clock, link, self)

    def is_up(self) -> bool:
        """Tell whether it is open now."""
        return self._dialling.is_up

    def open(self, listener: Listener) -> None:
        """Begin to connect, and go on to for as long as it is not closed."""
        self._listener = listener
        self._dialling.begin()

    def close(self) -> None:
        """End the stream; nothing is told of it any more."""
        self._dialling.close()
        self._drop()

    def break_off(self, reason: str) -> None:
        """Break, and begin to connect again."""
        self._dialling.break_off(reason)

    def send(self, job: Job) -> Sent:
        """Let a sample go to the server."""
        return self._up_link(job.size_bytes, self._arrive, job)

    def probe(self, probe: Probe) -> Sent:
        """Let a probe go to the server."""
        size_bytes = probe.padding_bytes + FRAME_OVERHEAD_BYTES
        return self._up_link(size_bytes, self._reply, (self.stream, probe))

    # -- the server's end of the link, where a job's sender is this

    def served(self, job: Job, timeline: Timeline, load: Load) -> None:
        """Send an answer back."""
        if job.stream == self.stream:
            self._down_link(self._answer_bytes, self._came_back, (job, timeline, load))

    def turned_away(self, job: Job, failure: Failure) -> None:
        """Send a failure back."""
        if job.stream == self.stream:
            self._down_link(ANSWER_OVERHEAD_BYTES, self._came_back_without, (job, failure))

    # -- messages on their way

    def _up_link(self, size_bytes: int, then: Callable[..., None], detail: object) -> Sent:
        now_s, up = self._clock.now_s, self.link.up
        before_s = up.sending_s
        arrives_s = self.link.send_s(now_s + self._way_s, size_bytes)
        if arrives_s < math.inf:
            self._clock.at(arrives_s, then, detail)
        return Sent(self.link.ready_s(now_s), up.sending_s - before_s)

    def _down_link(self, size_bytes: int, then: Callable[..., None], detail: object) -> None:
        enters_s = self._clock.now_s + self._rpc_s.next_s() - self._way_s
        self._back_s = max(self._back_s, enters_s)
        back_s = self.link.down.leave_s(self._back_s, size_bytes)
        if back_s < math.inf:
            self._clock.at(back_s, then, detail)

    def _arrive(self, job: Job) -> None:
        if job.stream == self.stream:
            self._server.arrive(job)

    def _reply(self, detail: tuple[int, Probe]) -> None:
        stream, probe = detail
        if stream == self.stream:
            size_bytes = probe.padding_bytes + FRAME_OVERHEAD_BYTES
            timeline = Timeline(received_s=self._clock.now_s, received_bytes=size_bytes)
            back = stream, probe, timeline, self._server.load()
            self._down_link(ANSWER_OVERHEAD_BYTES, self._replied, back)

    def _came_back(self, detail: tuple[Job, Timeline, Load]) -> None:
        job, timeline, load = detail
        if job.stream == self.stream and self._listener is not None:
            self._listener.served(job, timeline, load)

    def _came_back_without(self, detail: tuple[Job, Failure]) -> None:
        job, failure = detail
        if job.stream == self.stream and self._listener is not None:
            self._listener.turned_away(job, failure)

    def _replied(self, detail: tuple[int, Probe, Timeline, Load]) -> None:
        stream, probe, timeline, load = detail
        if stream == self.stream and self._listener is not None:
            self._listener.replied(probe, timeline, load)

    # -- what dialling tells

    def opened(self) -> None:
        """Take that the link is open."""
        if self._listener is not None:
            self._listener.connected()

    def broke(self, reason: str) -> None:
        """Take that it broke: what was on its way is lost."""
        self._drop()
        self.failed(reason)

    def failed(self, reason: str) -> None:
        """Take that it could not be opened."""
        if self._listener is not None:
            self._listener.disconnected(reason)

    def _drop(self) -> None:
        self.stream += 1
        self.link.forget(self._clock.now_s)
        self._server.withdraw(self)

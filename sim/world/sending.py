"""Sending: a virtual device's messages on their way to the server, and how long it is silent."""

from __future__ import annotations

import math

from device.reconnect import SILENCE_S
from device.work import Send
from offramp.messages import Probe
from partitioner.costs import FRAME_OVERHEAD_BYTES
from sim.world.clock import Clock
from sim.world.connection import Connection
from sim.world.counting import Counting
from sim.world.job import Job
from sim.world.processor import Held

__all__ = ["Sending"]

_LEAST_TIMEOUT_S = 1e-3


class Sending:
    """Hands samples of one bundle and probes to a connection, and counts what goes out."""

    __slots__ = ("_clock", "_connection", "_counting", "_digest", "_unheard_s")

    def __init__(
        self, clock: Clock, connection: Connection, counting: Counting, digest: str
    ) -> None:
        self._clock, self._connection, self._counting = clock, connection, counting
        self._digest = digest
        self._unheard_s = math.inf  # since when there should have been a word

    def send(self, action: Send, held: Held) -> float:
        """Send a sample that was encoded; return when the stream takes the next."""
        now_s, work, plan = self._clock.now_s, action.work, action.work.plan
        assert plan is not None
        size_bytes = work.size_bytes + FRAME_OVERHEAD_BYTES
        job = Job(
            self._connection,
            self._connection.client,
            self._connection.stream,
            work.id,
            self._digest,
            plan.cut,
            held.level,
            max(work.deadline_s - now_s, _LEAST_TIMEOUT_S),
            size_bytes,
            held.end,
            held.outcomes.asks if held.outcomes else (),
        )
        sent = self._connection.send(job)
        self._unheard_s = min(self._unheard_s, now_s)
        self._counting.sent(work, size_bytes, sent.sending_s)
        return sent.ready_s

    def probe(self, probe: Probe) -> float:
        """Send a probe; return when the stream takes the next message."""
        now_s, sent = self._clock.now_s, self._connection.probe(probe)
        self._unheard_s = min(self._unheard_s, now_s)
        size_bytes = probe.padding_bytes + FRAME_OVERHEAD_BYTES
        self._counting.probed(now_s, probe, size_bytes, sent.sending_s)
        return sent.ready_s

    def heard(self) -> None:
        """Take in that the server said something, or that there is another connection."""
        self._unheard_s = math.inf

    def is_hopeless(self) -> bool:
        """Tell whether the server has been silent for so long that the transport gives it up."""
        return self._clock.now_s - self._unheard_s >= SILENCE_S

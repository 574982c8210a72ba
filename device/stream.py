"""The stream to the server as events tell of it, and what waits to go out on it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

from device.controller import Controller
from device.probes import Probes
from device.work import LinkChange, Send, Work
from offramp.address import Address
from offramp.errors import MissingReferenceError, UnknownBundleError
from offramp.messages import Failure, Probe

__all__ = ["Stream"]

_PROBE_LIFE_S = 10.0
_LONGEST_RETRY_S = 60.0  # whatever a server says, by then it may be another one


class Stream:
    """A stream that takes one message whenever it is ready, with an outbox in front of it.

    One that stalls takes none, so each message has a time from which on it is of no use, and
    leaves the outbox then. ``up`` is None until the first connection opened or failed; ``reason``
    says why there is none.
    """

    __slots__ = (
        *("_controller", "_outbox", "_probe_s", "_probes", "_ready", "_retry_s"),
        *("_exists", "reason", "up"),
    )

    def __init__(self, controller: Controller, servers: Sequence[Address]) -> None:
        self._controller = controller
        self._exists = bool(servers)
        self._probes = Probes(controller)
        self._outbox: deque[tuple[Work | Probe, float]] = deque()
        self._ready = False
        self._probe_s, self._retry_s = math.inf, -math.inf
        self.up: bool | None = None
        self.reason = _silent(servers)

    @property
    def warm(self) -> bool:
        """Whether it is there, and its link known from a first row of probes."""
        return bool(self.up) and self._probes.warm

    def opened(self, now_s: float) -> list[LinkChange]:
        """Take in that there is a new one; return what is to be reported."""
        self._controller.estimator.forget_backlog(now_s)
        self._retry_s = -math.inf
        return self._note(now_s, True, "")

    def broke(self, now_s: float, reason: str) -> list[LinkChange]:
        """Take in that it is gone, or could not be opened; return what is to be reported."""
        self._keep(lambda _message, _until_s: False)
        self._controller.disconnected(now_s)
        self._ready = False
        self.reason = reason
        if self.up:
            self._probes.end_start()
        return self._note(now_s, False, reason)

    def moved(self, now_s: float, reason: str) -> list[LinkChange]:
        """Take in that one to another server took its place, and why; return what is to be told.

        What has not gone out goes there.
        """
        kept, self._outbox = self._outbox, deque()
        for message, _ in kept:
            self._controller.withdrawn(message.id)
        self._controller.moved(now_s)
        for message, _ in kept:
            if isinstance(message, Work):
                self.put(now_s, message)
        self._ready, self.up = False, None
        self._retry_s = -math.inf
        return self._note(now_s, True, reason)

    def became_ready(self) -> None:
        """Take in that it can take one message."""
        self._ready = True

    def answered(self, message: int) -> None:
        """Take in that a message was answered."""
        self._probes.answered(message)

    def refused(self, now_s: float, message: int, failure: Failure) -> None:
        """Take in that a sample was refused, and until when no other is to be sent."""
        if not self._controller.awaits(message):  # it went to a server that was left
            return
        if failure.retry_after_s > 0:
            wait_s = min(failure.retry_after_s, _LONGEST_RETRY_S)
            self._retry_s = max(self._retry_s, now_s + wait_s)
            self._controller.deferred(message)
        elif failure.status == MissingReferenceError.status:
            self._controller.deferred(message)  # the server is well; the next sample goes whole
        else:
            for_good = failure.status == UnknownBundleError.status
            self._controller.refused(now_s, message, for_good=for_good)

    def is_welcome(self, now_s: float) -> bool:
        """Tell whether the server did not ask to be left alone until later."""
        return now_s >= self._retry_s

    def end_start(self) -> None:
        """Send no more of the first row of probes."""
        self._probes.end_start()

    def put(self, now_s: float, work: Work) -> None:
        """Let a sample's message wait for the stream for as long as its answer is waited for."""
        assert work.plan is not None
        self._controller.sent(now_s, work.id, work.size_bytes, work.plan)
        self._outbox.append((work, work.give_up_s))

    def withdraw(self, work: Work) -> None:
        """Let a sample's message go, if it has not gone out yet: it is answered."""
        if self._outbox:
            self._keep(lambda message, _: message is not work)

    @property
    def wake_s(self) -> float:
        """When there is a probe to take, if nothing happens from the last taking until then."""
        return self._probe_s

    def take(self, now_s: float) -> list[Send | Probe]:
        """Return what the stream is to take now: nothing, or one message."""
        self._probe_s = self._next_probe_s(now_s)
        if self._probe_s <= now_s and (probe := self._probes.next(now_s)) is not None:
            self._controller.sent(now_s, probe.id, probe.padding_bytes)
            self._outbox.append((probe, now_s + _PROBE_LIFE_S))
            self._probe_s = self._next_probe_s(now_s)
        if self._outbox:
            self._keep(lambda _, until_s: until_s > now_s)
        return self.take_waiting()

    def take_waiting(self) -> list[Send | Probe]:
        """Return what the stream is to take of what waits: nothing, or one message."""
        if not self._ready or not self._outbox:
            return []
        self._ready = False
        message, _ = self._outbox.popleft()
        if isinstance(message, Probe):
            return [message]
        message.sent_bytes = message.size_bytes
        return [Send(message)]

    def _next_probe_s(self, now_s: float) -> float:
        return self._probes.next_s(now_s) if self.up else math.inf

    def _keep(self, wanted: Callable[[Work | Probe, float], bool]) -> None:
        """Let all messages of the outbox go that are not wanted any more."""
        kept: deque[tuple[Work | Probe, float]] = deque()
        for message, until_s in self._outbox:
            if wanted(message, until_s):
                kept.append((message, until_s))
            else:
                self._controller.withdrawn(message.id)
        self._outbox = kept

    def _note(self, now_s: float, up: bool, reason: str) -> list[LinkChange]:
        changed = self._exists and up is not self.up
        self.up = up
        return [LinkChange(now_s, up, reason)] if changed else []


def _silent(servers: Sequence[Address]) -> str:
    if len(servers) > 1:
        return f"none of {', '.join(map(str, servers))} answers; are the servers running?"
    return f"{servers[0]} does not answer; is the server running?" if servers else "there is none"

"""The connection to the edge servers: samples and probes out, answers in, over the best stream."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from device.choice_of_server import Check, ChoiceOfServer, Connect
from device.leaving import Leaving, Limits
from device.line import Line
from device.reconnect import CONNECT_S
from device.security import SecuritySettings
from offramp.address import Address
from offramp.catalogue import Catalogue
from offramp.errors import AuthenticationError
from offramp.messages import Answer, Draining, Failure, Probe, ProbeReply, Request

__all__ = ["Listener", "Remote"]

_OPEN_S = CONNECT_S + 10.0  # to find out whether the server is well, and for its first word
_LOOK_S = 0.5  # it looks around at least this often


class Listener(Protocol):
    """Who hears of the connection, on the connection's own threads; it must not raise."""

    def on_message(self, server: Address, message: Answer | ProbeReply) -> None:
        """Take what a server sent, be it one that was left."""

    def on_state(self, server: Address, up: bool, reason: str) -> None:
        """Take that a stream opened, to another server perhaps, or broke or could not be, and why.

        What the stream before it has is still answered if it is left for another one.
        """

    def on_left(self, server: Address, reason: str) -> None:
        """Take that the stream takes no more, and why; what it has is still answered."""

    def on_catalogue(self, server: Address, catalogue: Catalogue) -> None:
        """Take what the server holds, when the stream opens and when that changes."""

    def on_ready(self) -> None:
        """Take that the stream can take one message."""

    def serves(self, catalogue: Catalogue) -> bool:
        """Tell whether a server that holds this can answer samples."""


class Remote:
    """Streams to one of several servers, as a choice says, for as long as they are wanted.

    Lines tell what happens to them on their own threads. What follows from it is done on one
    thread, in the order in which it happened; but answers go on at once.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        security: SecuritySettings,
        choice: ChoiceOfServer,
        listener: Listener,
    ) -> None:
        self._addresses, self._security = addresses, security
        self._choice, self._listener = choice, listener
        self._refusals: dict[int, AuthenticationError | None] = {}
        self._current: Line | None = None
        self._tried: Line | None = None
        self._step: Connect | Check | None = None
        self._give_up_s = math.inf
        self._leaving = Leaving()
        self._limits: Limits | None = None  # of the line in use, once its server stops
        self._reason = ""
        self._events: queue.SimpleQueue[Callable[[float], None]] = queue.SimpleQueue()
        self._telling = threading.Lock()  # of what lines deliver, against a move between two
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="remote", daemon=True)

    @property
    def refusal(self) -> AuthenticationError | None:
        """Why the device and all of its servers do not trust each other, None unless that is so."""
        refusals = list(self._refusals.values())
        return refusals[0] if len(refusals) == len(self._addresses) and all(refusals) else None

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()

    def send(self, message: Request | Probe) -> None:
        """Hand the stream a message, once each time that it is ready; lost if it broke since.

        What holds the change from a sample that a server has that was left goes there, too.
        """
        line = self._current
        if isinstance(message, Request) and message.reference is not None:
            line = self._leaving.line_of(message.reference) or line
        if line is not None:
            line.send(message)

    def close(self) -> None:
        """End all streams and wait a moment for the threads."""
        self._closing.set()
        self._events.put(lambda _: None)
        if self._thread.ident is not None:
            self._thread.join(timeout=CONNECT_S + 1)

    # -- what lines tell, on their threads

    def on_message(self, line: Line, message: Answer | ProbeReply) -> None:
        """Pass on what came; on what a server keeps that was left, nothing is to be built."""
        with self._telling:
            if isinstance(message, Answer) and line is not self._current:
                message = replace(message, kept=False)
            self._listener.on_message(line.address, message)

    def on_catalogue(self, line: Line, catalogue: Catalogue) -> None:
        """Take that a line is open, or that another bundle is there."""
        self._events.put(partial(self._told_catalogue, line, catalogue))

    def on_draining(self, line: Line, notice: Draining) -> None:
        """Take that a line is to be left."""
        self._events.put(partial(self._told_to_leave, line, notice))

    def on_ready(self, line: Line) -> None:
        """Pass on that the stream in use can take one message."""
        if line is self._current:
            self._listener.on_ready()

    def on_ended(self, line: Line, reason: str) -> None:
        """Take that a line has ended."""
        self._events.put(partial(self._ended, line, reason))

    # -- the one thread

    def _run(self) -> None:
        while not self._closing.is_set():
            now_s = time.monotonic()
            self._pass(now_s)
            if step := self._choice.next(now_s):
                self._take(now_s, step)
            leave_s = self._limits.accepts_s if self._limits else math.inf
            wake_s = min(self._choice.wake_s(), self._give_up_s, leave_s, self._leaving.wake_s)
            pause_s = min(max(wake_s - time.monotonic(), 0.0), _LOOK_S)
            try:
                event = self._events.get(timeout=pause_s)
            except queue.Empty:
                continue
            event(time.monotonic())
        lines = [line for line in (self._current, self._tried, *self._leaving.lines) if line]
        for line in lines:
            line.close()
        for line in lines:
            line.join(CONNECT_S)

    def _pass(self, now_s: float) -> None:
        """Do what is due: give up an attempt, leave a server that stops, end what was left."""
        if self._tried is not None and now_s >= self._give_up_s:
            self._tried.close()
            self._give_up_s = math.inf
        if self._current and self._limits and now_s >= self._limits.accepts_s:
            self._let_go(now_s, self._current)
        self._leaving.passed(now_s)

    def _take(self, now_s: float, step: Connect | Check) -> None:
        patient, look = len(self._addresses) == 1, isinstance(step, Check)
        address = self._addresses[step.server]
        line = Line(address, self._security, self, patient=patient, look=look)
        self._tried, self._step, self._give_up_s = line, step, now_s + _OPEN_S
        line.start()

    def _told_catalogue(self, line: Line, catalogue: Catalogue, now_s: float) -> None:
        if line is self._tried and isinstance(self._step, Connect):
            if self._holds(catalogue):
                self._move(now_s, line, self._step.server)
            else:
                self._refuse(now_s, line, self._step.server)
        elif line is not self._current:
            return
        elif not self._holds(catalogue):
            self._reason = f"{line.address} does not hold the bundle any more"
            self._choice.leave()
        if line is self._current or self._current is None:
            self._listener.on_catalogue(line.address, catalogue)

    def _holds(self, catalogue: Catalogue) -> bool:
        """Tell whether a server is of use; where there is no other, it may yet be."""
        return len(self._addresses) == 1 or self._listener.serves(catalogue)

    def _move(self, now_s: float, line: Line, server: int) -> None:
        """Send over this line from now on; the one before it answers what it has."""
        self._tried, self._give_up_s = None, math.inf
        self._choice.opened(now_s, server)
        self._refusals[server] = None
        with self._telling:
            if self._current is not None:
                self._reason = self._reason or f"{line.address} is well again"
                self._leave(now_s, self._current, lingers=True)
            self._current = line
            self._listener.on_state(line.address, True, self._reason)
        self._reason = ""
        if line.is_ready:  # it was before, when nobody was told
            self._listener.on_ready()

    def _refuse(self, now_s: float, line: Line, server: int) -> None:
        self._tried, self._give_up_s = None, math.inf
        line.close()
        self._choice.failed(now_s, server, held=False)
        self._cannot_connect(f"{line.address} does not hold the bundle")

    def _told_to_leave(self, line: Line, notice: Draining, now_s: float) -> None:
        if line is not self._current:
            return
        self._reason = f"{line.address} is stopping"
        self._limits = Limits(now_s + notice.accepts_s, now_s + notice.answers_s)
        self._choice.leave()
        if len(self._addresses) == 1:
            self._let_go(now_s, line)

    def _let_go(self, now_s: float, line: Line) -> None:
        """Send nothing more over the line in use, though there is no other."""
        self._choice.lost(now_s)
        with self._telling:
            self._current = None
            self._leave(now_s, line, lingers=False)
            self._listener.on_left(line.address, self._reason)

    def _leave(self, now_s: float, line: Line, *, lingers: bool) -> None:
        limits, self._limits = self._limits or Limits.none(now_s), None
        self._leaving.add(now_s, line, limits, lingers=lingers)

    def _ended(self, line: Line, reason: str, now_s: float) -> None:
        if line is self._tried:
            self._tried, self._give_up_s = None, math.inf
            self._failed(now_s, line, reason)
        elif line is self._current:
            self._choice.lost(now_s)
            self._reason, self._limits = reason, None
            with self._telling:
                self._current = None
                self._listener.on_state(line.address, False, reason)
        elif self._leaving.ended(line):
            failure = Failure("UNAVAILABLE", reason)
            for sample in sorted(line.due):
                self._listener.on_message(line.address, Answer(sample, failure=failure))

    def _failed(self, now_s: float, line: Line, reason: str) -> None:
        match self._step:
            case Check(server):
                self._choice.checked(now_s, server, well=not reason)
            case Connect(server):
                self._refusals[server] = line.refusal
                self._choice.failed(now_s, server, refused=line.refusal is not None)
                self._cannot_connect(reason)

    def _cannot_connect(self, reason: str) -> None:
        """Say why there is no stream, unless that would take answers for lost that are due."""
        if self._current is None and not self._leaving.lines:
            self._listener.on_state(self._addresses[0], False, reason)

"""The agent: drives the dispatch in real time, with threads, sinks and a connection.

The caller's thread feeds samples in, one thread computes (there is one board) and keeps the time,
and the connection's own deliver what the server says. They share one lock, under which the
dispatch decides; what it decides is done outside.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import TYPE_CHECKING

from device.cargo import Cargo
from device.choice_of_server import ChoiceOfServer
from device.controller import Controller
from device.deployment import Deployment
from device.dispatch import Dispatch
from device.head import Head
from device.journal import Journal
from device.pauses import FIRST_LOAD_S, SHORTEST_S, WARM_S
from device.settings import AgentSettings
from device.sinks import Sink
from device.sources import Sample, Source
from device.work import Action, BundleChange, FallBack, Finish, LoadDue, RunHead, RunOn, Send, Work
from offramp.address import Address
from offramp.catalogue import Catalogue, Offer
from offramp.errors import FrameError, InputError, LinkError, MissingReferenceError, OfframpError
from offramp.memory import return_unused_memory
from offramp.messages import Answer, Failure, Probe, ProbeReply

if TYPE_CHECKING:  # gRPC takes 11 MB and a tenth of a second, which a device alone does without
    from device.remote import Remote
    from device.renewal import Renewal

__all__ = ["Agent", "Interrupted"]

_LOOK_S = 0.1  # a waiting thread looks around at least this often
_END_S = 30.0
_CLOSE_S = 1.0

_Job = RunHead | FallBack | RunOn | LoadDue


class Interrupted(Exception):  # noqa: N818
    """Raised by `Agent.interrupt` where the source blocks in a read that only this ends."""


class Agent:
    """Runs one source through one bundle; use it once."""

    def __init__(
        self,
        head: Head,
        controller: Controller,
        settings: AgentSettings,
        sinks: Iterable[Sink],
        *,
        renewal: Renewal | None = None,
        require_server: bool = False,
        await_server: bool = True,
        draw_trace: Callable[[], bytes] = bytes,
    ) -> None:
        self._head = head
        self._settings = settings
        self._require_server = require_server
        self._connect_s = settings.connect_s if await_server else 0.0
        self._renewal = renewal
        self._draw_trace = draw_trace
        self._controller = controller
        controller.ready = head.is_ready
        self._dispatch = Dispatch(controller, settings)
        self._journal = Journal(sinks)
        self._changed = threading.Condition()
        self._halted = threading.Condition()  # apart: a thread that sleeps is not woken by events
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._cargo: dict[int, Cargo] = {}
        self._stopped = self._reading = False
        self._error: BaseException | None = None
        self._refusal: OfframpError | None = None
        self._compute_thread = threading.Thread(target=self._compute, name="compute", daemon=True)
        self._server: Address | None = None
        self._remote = self._open_remote(settings) if settings.server else None

    def run(self, source: Source) -> None:
        """Answer every sample of the source; returns when the last result is written.

        Raises `InputError` at the end if there were samples that the model does not take, and
        `LinkError` if a server is required and does not answer.
        """
        self._compute_thread.start()
        try:
            self._connect()
            return_unused_memory()
            self._journal.begin(time.perf_counter())
            self._tell(self._dispatch.begun)
            self._feed(source)
        except Interrupted:
            pass
        finally:
            self._end()
        if self._error is not None:
            raise self._error
        if failures := self._journal.failures:
            raise InputError(f"{len(failures)} samples failed, the first because {failures[0]}")

    def interrupt(self) -> None:
        """Take in no more samples; those under way are still answered.

        For a signal handler on the thread of `run`, in which it raises `Interrupted` if that
        thread waits for the source.
        """
        self._stopped = True
        self._wake_all()
        if self._reading:
            raise Interrupted

    def on_message(self, server: Address, message: Answer | ProbeReply) -> None:
        """Take what a server sent."""
        failure = self._unpack(server, message) if isinstance(message, Answer) else None
        if failure is not None:
            self._tell(self._dispatch.refused, message.id, failure)
        else:
            self._tell(self._dispatch.answered, message.id, message.timeline, message.load)

    def on_state(self, server: Address, up: bool, reason: str) -> None:
        """Take that a stream opened, or broke or could not be opened, and why."""
        if up:
            self._connected(server, reason)
        else:
            self._head.latest.forget()
            self._tell(self._dispatch.disconnected, reason)
            self._refusal = self._remote.refusal if self._remote else None  # now that it is told
            self._wake_all()

    def on_left(self, server: Address, reason: str) -> None:
        """Take that the stream takes no more, and why."""
        self._head.latest.forget()
        self._tell(self._dispatch.left, reason)

    def on_catalogue(self, server: Address, catalogue: Catalogue) -> None:
        """Take what the server holds, when the stream opens and when that changes."""
        if server == self._server and self.serves(catalogue):
            self._tell(self._dispatch.served)
        if self._renewal is not None:
            self._renewal.announced(server, catalogue)

    def serves(self, catalogue: Catalogue) -> bool:
        """Tell whether a server holds the bundle that runs."""
        digest = self._head.network.bundle.digest
        return any(offer.digest == digest for offer in catalogue.offers)

    @property
    def busy(self) -> bool:
        """Whether a sample waits for the server."""
        return self._dispatch.waiting > 0

    def is_breaker_open(self) -> bool:
        """Tell whether the server is left alone after failures."""
        return not self._controller.breaker.closed

    def on_deployed(self, deployment: Deployment) -> None:
        """Take a bundle that is ready to run, for the samples that come."""
        self._tell(self._dispatch.deployed, deployment)

    def on_refused(self, offer: Offer, reason: str) -> None:
        """Take that a bundle that was announced cannot be run here, and why."""
        try:
            self._journal.note_refusal(time.perf_counter(), offer.digest, reason)
        except Exception as error:  # a full disk, say
            self._fail(error)

    def on_ready(self) -> None:
        """Take that the stream can take one message."""
        self._tell(self._dispatch.stream_ready)

    def _connected(self, server: Address, reason: str) -> None:
        moved, self._server = self._server not in (None, server), server
        self._journal.server = self._named(server)
        if moved:
            self._head.latest.forget()
            self._tell(self._dispatch.moved, reason)
        else:
            self._tell(self._dispatch.connected)

    def _named(self, server: Address) -> str:
        """Return what results call a server: nothing if there is but one."""
        return str(server) if len(self._settings.server) > 1 else ""

    def _unpack(self, server: Address, answer: Answer) -> Failure | None:
        """Keep an answer's outputs with its sample, if it still matters; return what is wrong."""
        cargo = self._cargo.get(answer.id)
        if answer.failure and answer.failure.status == MissingReferenceError.status:
            for head in (cargo.head if cargo else None, self._head):
                if head:
                    head.latest.forget()
        if answer.failure or cargo is None or not cargo.awaits_answer:
            return answer.failure
        try:
            cargo.unpack(answer, self._named(server))
        except FrameError as error:
            return Failure(error.status, f"the server's answer cannot be read: {error}")
        return None

    # -- the caller's thread

    def _open_remote(self, settings: AgentSettings) -> Remote:
        from device.remote import Remote

        servers = settings.server
        choice = ChoiceOfServer(len(servers), settings.tuning.return_s, Random().random)
        return Remote(servers, settings.security, choice, self)

    def _connect(self) -> None:
        """Open the stream and learn the link from a few probes, or begin without a server."""
        if self._remote is None:
            return
        self._head.prepare()
        self._remote.start()
        if self._renewal is not None:
            self._renewal.start(self)
        self._wait(self._connect_s, lambda: self._dispatch.up or self._refusal is not None)
        if self._dispatch.up:
            self._wait(WARM_S, lambda: self._dispatch.warm or not self._dispatch.up)
            with self._changed:
                plan = self._controller.likely_plan(time.perf_counter())
            self._head.expect(plan, FIRST_LOAD_S)
        elif self._require_server and not self._over:
            raise self._refusal or LinkError(self._dispatch.link_reason)

    def _feed(self, source: Source) -> None:
        samples = iter(source)
        begin_s, rate_hz, count = time.perf_counter(), self._settings.rate_hz, 0
        while (sample := self._read(samples)) is not None:
            if rate_hz is not None:
                self._sleep(begin_s + count / rate_hz - time.perf_counter())
            else:
                while not self._over and not self._dispatch.wants_sample:
                    self._wait(_LOOK_S, lambda: self._dispatch.wants_sample)
            if self._over:
                return
            self._cargo[count] = Cargo.of(sample, self._draw_trace())
            self._tell(self._dispatch.arrived, count)
            count += 1

    def _read(self, samples: Iterator[Sample]) -> Sample | None:
        """Return the next sample, or None if there is none; a signal may break this off."""
        self._reading = True
        try:
            return None if self._over else next(samples, None)
        finally:
            self._reading = False

    def _wait(self, limit_s: float, condition: Callable[[], bool]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._over or condition(), max(limit_s, 0.0))

    def _sleep(self, limit_s: float) -> None:
        with self._halted:
            self._halted.wait_for(lambda: self._over, max(limit_s, 0.0))

    def _wake_all(self) -> None:
        for condition in (self._changed, self._halted):
            with condition:
                condition.notify_all()

    def _end(self) -> None:
        """Let what is under way be answered, then end the threads."""
        self._tell(self._dispatch.ended)
        self._compute_thread.join(self._settings.deadline_s * (self._settings.inbox + 8) + _END_S)
        if self._compute_thread.is_alive():
            self._error = self._error or LinkError("the device did not end; start it again")
        if self._renewal:
            self._renewal.close(_CLOSE_S)
        if self._remote:
            self._remote.close()

    @property
    def _over(self) -> bool:
        return self._stopped or self._error is not None

    # -- the board's one processor

    def _compute(self) -> None:
        try:
            while (pause_s := self._pause_s()) is not None:
                try:
                    job = self._jobs.get(timeout=pause_s)
                except queue.Empty:
                    self._tell(self._dispatch.passed)
                else:
                    self._do(job)
        except BaseException as error:  # reaches the caller of run
            self._fail(error)

    def _pause_s(self) -> float | None:
        """Return how long to wait for a job, or None if no more will come."""
        with self._changed:
            if self._error is not None or self._dispatch.done:
                return None
            now_s = time.perf_counter()
            pause_s = self._dispatch.wake_s(now_s) - now_s
        return min(max(pause_s, SHORTEST_S), _LOOK_S)

    def _do(self, job: _Job) -> None:
        match job:
            case RunHead(work):
                self._run_head(job, self._cargo[work.id])
            case FallBack(work):
                self._fall_back(job, self._cargo.get(work.id))
            case RunOn(work):
                self._run_on(work)
            case LoadDue():
                self._journal.note(job)

    def _run_head(self, job: RunHead, cargo: Cargo) -> None:
        assert job.work.plan is not None
        cargo.head = head = self._head
        try:
            cargo.sample.check(cargo.bundle.manifest.boundaries[0].tensors)
            reached = head.run(cargo.progress, job.work.plan, job.until_s, job.stretch)
        except InputError as error:
            self._tell(self._dispatch.failed, str(error))
        else:
            for seen in (cargo.progress.drift, cargo.progress.moved):
                if seen:
                    self._journal.note_seen(time.perf_counter(), seen)
            self._tell(self._dispatch.head_done, reached)

    def _fall_back(self, job: FallBack, cargo: Cargo | None) -> None:
        if cargo is None:  # the server was first
            self._tell(self._dispatch.fell_back)
            return
        assert cargo.head is not None
        try:
            cargo.head.fall_back(cargo.progress, job.until_s, job.stretch)
        except InputError as error:
            self._tell(self._dispatch.failed, str(error))
        else:
            self._tell(self._dispatch.fell_back)

    def _run_on(self, work: Work) -> None:
        cargo = self._cargo.get(work.id)
        if cargo is None:  # the server was first
            self._tell(self._dispatch.ran_on, work.at)
            return
        assert cargo.head is not None
        try:
            at = cargo.head.run_on(cargo.progress)
        except InputError as error:
            self._tell(self._dispatch.failed, str(error))
        else:
            self._tell(self._dispatch.ran_on, at)

    # -- any thread

    def _tell(self, event: Callable[..., list[Action]], *details: object) -> None:
        """Tell the dispatch what happened now, and do what it asks for."""
        try:
            with self._changed:
                actions = event(time.perf_counter(), *details)
                self._changed.notify_all()
            for action in actions:
                self._act(action)
        except Exception as error:  # a full disk, say; the connection's threads must live
            self._fail(error)

    def _act(self, action: Action) -> None:
        match action:
            case RunHead() | FallBack() | RunOn() | LoadDue():
                self._jobs.put(action)
            case Finish(work):
                cargo = self._cargo.pop(work.id)
                cargo.teach()
                self._journal.finish(action, cargo)
            case Send(work):
                waiting = self._cargo.get(work.id)
                if self._remote and waiting:  # else it was answered here in the meantime
                    self._remote.send(waiting.pack(work, time.perf_counter()))
            case Probe():
                if self._remote:
                    self._remote.send(action)
            case BundleChange():
                self._head = action.deployment.head
                self._journal.note(action)
            case _:
                self._journal.note(action)

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self._wake_all()

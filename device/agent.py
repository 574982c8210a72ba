"""The agent: streams samples through the head, and to the server and back, without losing one.

Three threads share one lock: the caller's feeds samples in, one computes (there is one board),
and the connection's own delivers answers. While one sample is on its way, the next one's head runs.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from device.controller import Controller
from device.fallback import give_up_s
from device.head import Head, Progress
from device.load import read_load
from device.remote import Remote
from device.result import Result, Spans
from device.settings import AgentSettings
from device.sinks import Sink
from device.sources import Sample, Source
from offramp.boundary_codec import decode_boundary
from offramp.errors import FrameError, InputError, LinkError, UnknownBundleError
from offramp.exits import softmax
from offramp.messages import Answer, Probe, ProbeReply, Request
from offramp.tensors import Array
from partitioner.plan import Plan

__all__ = ["Agent", "Interrupted"]

_MARGIN_S = 0.005
_GRACE_S = 0.05  # an answer so late is still worth more than none
_START_PROBES = 8
_FIRST_PROBE_ID = 1 << 62
_PROBE_LIFE_S = 10.0


@dataclass
class _Work:
    """A sample under way; times are `time.perf_counter`."""

    id: int
    sample: Sample
    arrived_s: float
    deadline_s: float
    plan: Plan | None = None
    progress: Progress | None = None
    wait_s: float = 0.0
    sent_s: float = 0.0
    sent_bytes: int = 0
    expected_s: float = 0.0
    overdue: bool = False
    give_up_s: float = 0.0
    reason: str = ""

    @property
    def wake_s(self) -> float:
        """When something is to be done about this sample, if it waits."""
        return self.give_up_s if self.overdue else min(self.expected_s, self.give_up_s)


class Interrupted(Exception):  # noqa: N818
    """Raised by a signal handler: the source may block in a read that only this ends.

    Only while the agent is ``interruptible``; after that it is finishing what is under way.
    """


class Agent:
    """Runs one source through one bundle; use it once."""

    def __init__(
        self,
        head: Head,
        controller: Controller,
        settings: AgentSettings,
        sinks: Iterable[Sink],
        *,
        require_server: bool = False,
    ) -> None:
        self._head = head
        self._controller = controller
        self._settings = settings
        self._require_server = require_server
        self._sinks = list(sinks)
        self._manifest = head.network.bundle.manifest
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._inbox: deque[_Work] = deque()
        self._waiting: dict[int, _Work] = {}
        self._abandoned: deque[_Work] = deque()
        self._ids = itertools.count()
        self._probe_ids = itertools.count(_FIRST_PROBE_ID)
        self._fed = False
        self._stopped = False
        self._error: BaseException | None = None
        self._started_s = time.perf_counter()
        self._streaming = False
        self.interruptible = True
        self._failures: list[str] = []
        self._early: list[tuple[float, dict[str, Any]]] = []
        self._last_load_s = 0.0
        self._seen_changes = 0
        self._connected = threading.Event()
        self._link_reason = f"{settings.server} does not answer; is the server running?"
        self._probe_replies = threading.Semaphore(0)
        self._remote = (
            Remote(settings.server, self._on_message, self._on_state) if settings.server else None
        )

    def run(self, source: Source) -> None:
        """Answer every sample of the source; returns when the last result is written.

        Raises `InputError` at the end if there were samples that the model does not take.
        """
        compute = threading.Thread(target=self._compute, name="compute", daemon=True)
        try:
            self._connect()
            self._started_s = time.perf_counter()
            self._streaming = True
            for at_s, line in self._early:
                self._write({**line, "at_s": self._since(at_s)})
            compute.start()
            self._feed(source)
        except Interrupted:
            self.stop()
        finally:
            self.interruptible = False
            with self._changed:
                self._fed = True
                self._changed.notify_all()
            if compute.ident is not None:
                compute.join(timeout=self._settings.deadline_s * (self._settings.inbox + 8) + 30)
                if compute.is_alive():
                    self._error = self._error or LinkError("the device did not end; start it again")
            if self._remote:
                self._remote.close()
        if self._error is not None:
            raise self._error
        if self._failures:
            raise InputError(
                f"{len(self._failures)} samples failed, the first because {self._failures[0]}"
            )

    def stop(self) -> None:
        """Take in no more samples; those under way are still answered."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _connect(self) -> None:
        """Open the stream and learn the link from a few probes, or begin without a server."""
        if self._remote is None:
            self._controller.disconnected(time.perf_counter())
            return
        self._remote.start()
        if not self._connected.wait(self._settings.connect_s):
            if self._require_server:
                raise LinkError(self._link_reason)
            with self._changed:
                self._controller.disconnected(time.perf_counter())
            self._report_link(time.perf_counter(), up=False, reason=self._link_reason)
            return
        for _ in range(_START_PROBES):
            self._send_probe(self._controller.next_probe_bytes())
            if not self._probe_replies.acquire(timeout=1.0):
                break

    # -- samples in

    def _feed(self, source: Source) -> None:
        rate_hz = self._settings.rate_hz
        begin_s = time.perf_counter()
        for at, sample in enumerate(source):
            if rate_hz is not None:
                self._sleep_until(begin_s + at / rate_hz)
            with self._changed:
                if rate_hz is None:
                    while self._inbox and not self._stopped and self._error is None:
                        self._changed.wait(0.1)
                if self._stopped or self._error is not None:
                    return
                self._arrive(sample)
                self._changed.notify_all()

    def _arrive(self, sample: Sample) -> None:
        now_s = time.perf_counter()
        if len(self._inbox) >= self._settings.inbox:
            oldest = self._inbox.popleft()
            self._drop(oldest, f"the inbox of {self._settings.inbox} was full")
        deadline_s = now_s + self._settings.deadline_s
        self._inbox.append(_Work(next(self._ids), sample, now_s, deadline_s))

    def _sleep_until(self, time_s: float) -> None:
        with self._changed:
            while not self._stopped and (wait_s := time_s - time.perf_counter()) > 0:
                self._changed.wait(wait_s)

    # -- the board's one processor

    def _compute(self) -> None:
        try:
            while (work := self._next_work()) is not None:
                if work.progress is None:
                    self._begin(work)
                else:
                    self._fall_back(work)
        except BaseException as error:  # reaches the caller of run
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def _next_work(self) -> _Work | None:
        """Return what to compute next: fallbacks that are due, then the next sample."""
        with self._changed:
            while True:
                now_s = time.perf_counter()
                self._tick(now_s)
                due = [w for w in self._waiting.values() if w.give_up_s <= now_s]
                if self._abandoned:
                    return self._abandoned.popleft()
                if due:
                    work = min(due, key=lambda w: w.deadline_s)
                    del self._waiting[work.id]
                    work.reason = "no answer from the server in time"
                    self._controller.unanswered(now_s, work.id, overdue=work.overdue)
                    return work
                # Samples that arrive by themselves cannot wait for room on the link; others can.
                if self._inbox and (self._settings.rate_hz is not None or not self._is_full()):
                    self._changed.notify_all()
                    return self._inbox.popleft()
                if self._error is not None:
                    return None
                if self._fed and not self._inbox and not self._waiting:
                    return None
                next_s = min((w.wake_s for w in self._waiting.values()), default=now_s + 0.1)
                self._changed.wait(min(max(next_s - now_s, 0.0005), 0.1))

    def _is_full(self) -> bool:
        return len(self._waiting) >= self._settings.max_in_flight

    def _begin(self, work: _Work) -> None:
        started_s = time.perf_counter()
        work.wait_s = started_s - work.arrived_s
        try:
            for array, spec in zip(
                work.sample.inputs, self._manifest.boundaries[0].tensors, strict=True
            ):
                spec.check(array)
        except (InputError, ValueError) as error:
            self._emit(work, Result(work.id, "failed", reason=str(error)))
            return
        if started_s >= work.deadline_s + _GRACE_S:
            self._drop(work, "its deadline passed before the device got to it")
            return
        with self._changed:
            plan = self._controller.plan(started_s)
            if plan.level is not None and self._is_full():
                plan = self._controller.local_plan()
        work.plan = plan
        progress = Progress([np.ascontiguousarray(array)[None] for array in work.sample.inputs])
        work.progress = progress
        self._head.run(progress, plan, work.deadline_s - _MARGIN_S)
        with self._changed:
            self._controller.computed(progress.head_s, self._head.expected_s(progress))
            self._head.stretch = self._controller.device_stretch.value
        if progress.hurried:
            work.reason = "too little time for more than this exit"
        if progress.left is not None or progress.final is not None:
            self._answer_here(work, "degraded" if progress.hurried else "ok")
        else:
            assert plan.level is not None
            try:
                frames = self._head.encode(progress, plan.level)
            except InputError as error:
                self._emit(work, Result(work.id, "failed", reason=str(error)))
                return
            self._send(work, frames)

    def _send(self, work: _Work, frames: tuple[bytes, ...]) -> None:
        assert work.plan is not None
        assert work.progress is not None
        now_s = time.perf_counter()
        work.sent_s = now_s
        work.sent_bytes = sum(len(frame) for frame in frames)
        request = Request(
            id=work.id,
            digest=self._head.network.bundle.digest,
            cut=work.plan.cut,
            frames=frames,
            timeout_s=max(work.deadline_s - now_s, 1e-3),
            plan_id=work.plan.id,
        )
        with self._changed:
            work.expected_s = now_s + self._controller.send_s(work.sent_bytes, work.plan.cut)
            work.give_up_s = self._give_up_s(work)
            if work.give_up_s <= now_s:
                work.reason = "too little time to wait for the server"
            elif self._remote is not None and self._remote.send(request, work.deadline_s):
                self._controller.sent(now_s, work.id, work.sent_bytes, work.plan.cut)
                self._waiting[work.id] = work
                return
            else:
                work.reason = f"no connection ({self._link_reason})"
        work.sent_bytes = 0
        self._fall_back(work)

    def _give_up_s(self, work: _Work) -> float:
        """Leave time for this sample's fallback, for those that wait too, and for one head."""
        assert work.plan is not None
        assert work.progress is not None
        options = self._head.options(work.progress)
        reserve_s = (
            _MARGIN_S
            + self._quickest_s(self._waiting.values())
            + self._head.profile.head[work.plan.cut].median_s * self._head.stretch
        )
        return give_up_s(
            options,
            deadline_s=work.deadline_s,
            expected_s=work.expected_s,
            reserve_s=reserve_s,
        )

    def _quickest_s(self, works: Iterable[_Work]) -> float:
        """Return how long the quickest answers to samples that were sent take, one by one."""
        return sum(
            min(option.time_s for option in self._head.options(work.progress))
            for work in works
            if work.progress is not None
        )

    def _fall_back(self, work: _Work) -> None:
        assert work.progress is not None
        started_s = time.perf_counter()
        with self._changed:
            spare_s = _MARGIN_S + self._quickest_s(self._abandoned)
        self._head.fall_back(work.progress, work.deadline_s - spare_s)
        self._answer_here(work, "degraded", fallback_s=time.perf_counter() - started_s)

    def _tick(self, now_s: float) -> None:
        """Note overdue answers, send a probe, report plan changes and load, if it is time."""
        for work in self._waiting.values():
            if not work.overdue and now_s >= work.expected_s:
                work.overdue = True
                self._controller.overdue(now_s, work.id)
        if self._connected.is_set():
            padding = self._controller.probe_bytes(now_s)
            if padding is not None:
                self._send_probe(padding)
        for change in self._controller.changes[self._seen_changes :]:
            self._write(
                {
                    "kind": "plan",
                    "at_s": self._since(change.at_s),
                    "id": change.plan.id,
                    **{k: v for k, v in asdict(change.plan).items() if k != "prediction"},
                    "predicted": asdict(change.plan.prediction) if change.plan.prediction else None,
                    "conditions": asdict(change.conditions),
                }
            )
        self._seen_changes = len(self._controller.changes)
        if now_s - self._last_load_s >= 1.0:
            self._last_load_s = now_s
            conditions = asdict(self._controller.conditions())
            self._write({"kind": "load", "at_s": self._since(now_s), **read_load(), **conditions})

    # -- the connection's thread

    def _on_message(self, message: Answer | ProbeReply) -> None:
        try:
            self._take_in(message)
        except Exception as error:  # a full disk, say; the connection's thread must live
            self._fail(error)

    def _take_in(self, message: Answer | ProbeReply) -> None:
        now_s = time.perf_counter()
        with self._changed:
            if isinstance(message, Answer) and message.failure:
                unknown = message.failure.status == UnknownBundleError.status
                self._controller.refused(now_s, message.id, for_good=unknown)
            else:
                self._controller.answered(now_s, message.id, message.timeline, message.load)
            if isinstance(message, ProbeReply):
                self._probe_replies.release()
                return
            work = self._waiting.pop(message.id, None)
            self._changed.notify_all()
            if work is None:  # answered here in the meantime
                return
            if message.failure:
                work.reason = f"{message.failure.status}: {message.failure.message}"
                self._abandoned.append(work)
                return
        self._answer_from_server(work, message, now_s)

    def _on_state(self, up: bool, reason: str) -> None:
        now_s = time.perf_counter()
        was_up = self._connected.is_set()
        with self._changed:
            if up:
                self._controller.estimator.forget_backlog(now_s)
                self._connected.set()
            else:
                self._connected.clear()
                self._link_reason = reason
                self._controller.disconnected(now_s)
                for work in self._waiting.values():
                    work.reason = reason
                self._abandoned.extend(self._waiting.values())
                self._waiting.clear()
            self._changed.notify_all()
        if up != was_up:
            self._report_link(now_s, up=up, reason=reason)

    def _report_link(self, now_s: float, *, up: bool, reason: str) -> None:
        """Write that the connection opened or broke; before the run's start, at a negative time."""
        line = {"kind": "link", "up": up, "reason": reason}
        if self._streaming:
            self._write({**line, "at_s": self._since(now_s)})
        else:
            self._early.append((now_s, line))

    def _send_probe(self, padding_bytes: int) -> None:
        probe = Probe(next(self._probe_ids), padding_bytes)
        self._controller.sent(time.perf_counter(), probe.id, padding_bytes)
        if self._remote is not None:
            self._remote.send(probe, time.perf_counter() + _PROBE_LIFE_S)

    # -- results out

    def _answer_here(self, work: _Work, status: Any, fallback_s: float = 0.0) -> None:
        progress = work.progress
        assert progress is not None
        if progress.final is not None:
            logits, temperature, by = progress.final, self._manifest.temperature, "device"
        else:
            assert progress.left is not None
            spec = self._manifest.exits[progress.left]
            logits, temperature = progress.logits[progress.left], spec.temperature
            by = f"exit {spec.name}"
        spans = Spans(work.wait_s, progress.head_s, progress.encode_s, fallback_s=fallback_s)
        self._emit(work, _answer(work, status, by, logits[0], temperature, spans))

    def _answer_from_server(self, work: _Work, answer: Answer, now_s: float) -> None:
        assert work.progress is not None
        tensors = self._manifest.boundaries[-1].tensors
        limit = self._manifest.boundaries[-1].nbytes
        try:
            logits = decode_boundary(answer.outputs, tensors, limit_bytes=limit)[0]
        except FrameError as error:
            work.reason = f"the server's answer cannot be read: {error}"
            with self._changed:
                self._abandoned.append(work)
                self._changed.notify_all()
            return
        timeline = answer.timeline
        spans = Spans(
            wait_s=work.wait_s,
            head_s=work.progress.head_s,
            encode_s=work.progress.encode_s,
            network_s=max(now_s - work.sent_s - timeline.total_s, 0.0),
            queue_s=timeline.queue_s,
            decode_s=timeline.decode_s,
            tail_s=sum(timeline.segment_s) + timeline.encode_s,
        )
        temperature = self._manifest.temperature
        self._emit(work, _answer(work, "ok", "server", logits, temperature, spans))

    def _drop(self, work: _Work, reason: str) -> None:
        self._emit(work, Result(work.id, "dropped", reason=reason))

    def _emit(self, work: _Work, result: Result) -> None:
        if result.status == "failed":
            self._failures.append(result.reason)
        now_s = time.perf_counter()
        plan = work.plan
        line = replace(
            result,
            label=work.sample.label,
            name=work.sample.name,
            reason=result.reason or work.reason,
            arrived_s=self._since(work.arrived_s),
            latency_s=now_s - work.arrived_s,
            deadline_s=self._settings.deadline_s,
            sent_bytes=work.sent_bytes,
            plan=plan.id if plan else "",
            cut=plan.cut if plan else None,
            level=plan.level if plan else None,
        )
        self._write(line.to_json())

    def _write(self, line: dict[str, Any]) -> None:
        with self._writing:
            for sink in self._sinks:
                sink.write(line)

    def _since(self, time_s: float) -> float:
        return round(time_s - self._started_s, 6)


def _answer(
    work: _Work, status: Any, by: str, logits: Array, temperature: float, spans: Spans
) -> Result:
    probabilities = softmax(logits, temperature)
    best = int(probabilities.argmax())
    return Result(
        work.id, status, by=by, answer=best, confidence=float(probabilities[best]), spans=spans
    )

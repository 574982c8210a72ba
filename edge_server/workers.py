"""The workers: threads that take samples from the schedule and run them on the engine.

The decisions are `Schedule`'s, `BatchSizes`' and `LoadMeter`'s; here are only the lock, the clock
and the threads. A worker takes the samples that wait at one place, takes them one step on together,
and gives back those that have more to do, so that an earlier deadline overtakes them there. ONNX
Runtime and torch let go of the interpreter while they compute, so the event loop goes on reading
and writing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edge_server.engine import Engine
from edge_server.load import LoadMeter
from edge_server.passage import Passage, Place
from edge_server.schedule import Entry, Schedule
from edge_server.ticket import (
    STOPPING,
    Ticket,
    expired_in_queue,
    expired_on_the_way,
    queue_full,
)
from offramp.errors import EngineError, OfframpError
from offramp.messages import Answer, Failure, Load, failure_of

__all__ = ["WorkerPool"]

_WAIT_S = 1.0  # a waiting worker looks around at least this often

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Task:
    """A ticket under way; ``passage`` is None until its frames are decoded.

    ``spent_s`` is its share of the engine's time, ``answer`` there once it has ended.
    """

    ticket: Ticket
    passage: Passage | None = None
    spent_s: float = 0.0
    answer: Answer | None = None


class WorkerPool:
    """Runs tickets on ``workers`` threads, the earliest deadline first.

    At most ``queue_length`` tickets wait, none longer than ``max_wait_s``. ``cpu_share`` is set
    from outside and passed on in `load`.
    """

    def __init__(self, engine: Engine, workers: int, queue_length: int, max_wait_s: float) -> None:
        self.engine = engine
        self.cpu_share = 0.0
        self.max_wait_s = max_wait_s
        self._schedule: Schedule[_Task] = Schedule(queue_length)
        self._meter = LoadMeter(workers)
        self._running = 0
        self._due = 0  # accepted, and neither delivered nor withdrawn
        self._stopping = self._closed = False
        lock = threading.Lock()
        self._ready = threading.Condition(lock)
        self._settled = threading.Condition(lock)
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{at}", daemon=True)
            for at in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, ticket: Ticket) -> Failure | None:
        """Accept a ticket, or say why it is refused; then `Ticket.deliver` is not called."""
        try:
            self.engine.check(ticket.request)
            place = self.engine.place_of(ticket.request)
        except OfframpError as error:
            return failure_of(error)
        with self._ready:
            if self._stopping:
                return STOPPING
            now_s = time.monotonic()
            expired = self._schedule.expire(now_s)
            retry_after_s = self._schedule.offer(
                _Task(ticket),
                ticket.deadline_s(self.max_wait_s),
                self._meter.service_s / len(self._threads),
                place,
            )
            if retry_after_s is None:
                self._due += 1
                self._meter.arrived(now_s)
                self._ready.notify()
        self._report_expired(expired, now_s)
        return None if retry_after_s is None else queue_full(retry_after_s)

    def withdraw(self, owner: object) -> int:
        """Drop an owner's waiting tickets without an answer and return how many there were."""
        with self._settled:
            withdrawn = self._schedule.withdraw(lambda task: task.ticket.owner is owner)
            self._settle(len(withdrawn))
        return len(withdrawn)

    def load(self) -> Load:
        """Return how busy the pool is now."""
        with self._ready:
            return self._meter.load(
                len(self._schedule), self._running, self.cpu_share, time.monotonic()
            )

    def drain(self, limit_s: float) -> bool:
        """Refuse new tickets, wait until all others are delivered, and tell whether they were."""
        with self._settled:
            self._stopping = True
            return self._settled.wait_for(lambda: self._due == 0, limit_s)

    def close(self, limit_s: float) -> None:
        """Fail what still waits and end the threads; one that computes on is left behind."""
        with self._ready:
            self._stopping = self._closed = True
            left = self._schedule.withdraw(lambda task: True)
            self._ready.notify_all()
        for task in left:
            self._deliver(task.ticket, task.ticket.failed(STOPPING))
        end_s = time.monotonic() + limit_s
        for thread in self._threads:
            thread.join(max(end_s - time.monotonic(), 0.0))

    def _work(self) -> None:
        while (batch := self._take()) is not None:
            going = batch
            while going:
                self._advance([entry.item for entry in going])
                going = self._let_go(going)

    def _take(self) -> list[Entry[_Task]] | None:
        """Return what to run next, as soon as there is something; None once the pool is closed."""
        while True:
            with self._ready:
                while not self._closed and not len(self._schedule):
                    self._ready.wait(_WAIT_S)
                if self._closed:
                    return None
                now_s = time.monotonic()
                taken = self._schedule.take(now_s, self.engine.sizes.best_size)
                self._running += len(taken.batch)
                for entry in taken.batch:
                    if entry.item.passage is None:
                        received_s = entry.item.ticket.timeline.received_s
                        self._meter.started(now_s - received_s, now_s)
            self._report_expired(taken.expired, now_s)
            if taken.batch:
                return taken.batch

    def _advance(self, tasks: Sequence[_Task]) -> None:
        """Take samples one step on, and answer those that come to their end."""
        for task in tasks:
            if task.passage is None:
                self._try(self._begin, [task])
        together: dict[Place, list[_Task]] = {}
        for task in tasks:
            if task.passage:
                together.setdefault(task.passage.place, []).append(task)
        for each in together.values():
            self._try(self._step, each)
        for task in tasks:
            if task.answer is None and task.passage and task.passage.ended:
                self._try(self._finish, [task])

    def _let_go(self, entries: Sequence[Entry[_Task]]) -> list[Entry[_Task]]:
        """Deliver the answers there are and let the other samples wait for their next step.

        Once the pool is closed they cannot, and are returned: what was begun is ended.
        """
        with self._ready:
            now_s, going = time.monotonic(), [e for e in entries if e.item.answer is None]
            ended = [entry.item for entry in entries if entry.item.answer]
            for task in ended:
                self._meter.finished(task.spent_s, now_s)
            self._running -= len(ended)
            if not self._closed:
                for entry in going:
                    assert entry.item.passage is not None
                    self._schedule.put_back(entry, entry.item.passage.place)
                self._running -= len(going)
                self._ready.notify(len(going))
                going = []
        for task in ended:
            assert task.answer is not None
            self._deliver(task.ticket, task.answer)
        return going

    def _begin(self, tasks: Sequence[_Task]) -> None:
        for task in tasks:
            task.passage = self.engine.begin(task.ticket.request, task.ticket.history)

    def _step(self, tasks: Sequence[_Task]) -> None:
        self.engine.step([task.passage for task in tasks if task.passage])

    def _finish(self, tasks: Sequence[_Task]) -> None:
        for task in tasks:
            assert task.passage is not None
            outcome = self.engine.finish(task.passage)
            request, timeline = task.ticket.request, task.ticket.timeline
            spent_s = outcome.decode_s + sum(outcome.segment_s) + outcome.encode_s
            timeline = replace(
                timeline,
                queue_s=max(time.monotonic() - timeline.received_s - spent_s, 0.0),
                decode_s=outcome.decode_s,
                segment_s=outcome.segment_s,
                encode_s=outcome.encode_s,
            )
            task.answer = Answer(
                request.id,
                outcome.outputs,
                timeline=timeline,
                plan_id=request.plan_id,
                kept=outcome.kept,
            )

    def _try(self, run: Callable[[Sequence[_Task]], None], tasks: Sequence[_Task]) -> None:
        """Run samples together, one by one if that fails, and answer those with which it fails."""
        began_s = time.monotonic()
        try:
            run(tasks)
        except Exception as error:  # whatever one sample does, the next ones are served
            if len(tasks) > 1:
                for task in tasks:
                    self._try(run, [task])
                return
            ticket = tasks[0].ticket
            if not isinstance(error, OfframpError) or isinstance(error, EngineError):
                request = ticket.request
                _log.error("sample failed at cut %d of %s: %r", request.cut, request.digest, error)
            tasks[0].answer = ticket.failed(failure_of(error), began_s - ticket.timeline.received_s)
        share_s = (time.monotonic() - began_s) / len(tasks)
        for task in tasks:
            task.spent_s += share_s

    def _report_expired(self, tasks: list[_Task], now_s: float) -> None:
        for task in tasks:
            ticket, passage = task.ticket, task.passage
            queue_s = now_s - ticket.timeline.received_s
            failure = expired_on_the_way(passage.at) if passage else expired_in_queue(queue_s)
            self._deliver(ticket, ticket.failed(failure, queue_s))

    def _deliver(self, ticket: Ticket, answer: Answer) -> None:
        ticket.deliver(answer)
        with self._settled:
            self._settle(1)

    def _settle(self, tickets: int) -> None:
        self._due -= tickets
        self._settled.notify_all()

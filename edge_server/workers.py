"""The workers: threads that take samples from the schedule and run them on the engine.

The decisions are `Schedule`'s and `LoadMeter`'s; here are only the lock, the clock and the
threads. ONNX Runtime and torch let go of the interpreter while they compute, so the event loop
goes on reading and writing.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace

from edge_server.engine import Engine
from edge_server.load import LoadMeter
from edge_server.schedule import Schedule
from edge_server.ticket import STOPPING, Ticket, expired_in_queue, queue_full
from offramp.errors import EngineError, OfframpError
from offramp.messages import Answer, Failure, Load, failure_of

__all__ = ["WorkerPool"]

_WAIT_S = 1.0  # a waiting worker looks around at least this often

_log = logging.getLogger(__name__)


class WorkerPool:
    """Runs tickets on ``workers`` threads, the earliest deadline first.

    At most ``queue_length`` tickets wait, none longer than ``max_wait_s``. ``cpu_share`` is set
    from outside and passed on in `load`.
    """

    def __init__(self, engine: Engine, workers: int, queue_length: int, max_wait_s: float) -> None:
        self.engine = engine
        self.cpu_share = 0.0
        self.max_wait_s = max_wait_s
        self._schedule: Schedule[Ticket] = Schedule(queue_length)
        self._meter = LoadMeter()
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
        except OfframpError as error:
            return failure_of(error)
        with self._ready:
            if self._stopping:
                return STOPPING
            now_s = time.monotonic()
            expired = self._schedule.expire(now_s)
            retry_after_s = self._schedule.offer(
                ticket,
                ticket.deadline_s(self.max_wait_s),
                self._meter.service_s / len(self._threads),
            )
            if retry_after_s is None:
                self._due += 1
                self._ready.notify()
        self._report_expired(expired, now_s)
        return None if retry_after_s is None else queue_full(retry_after_s)

    def withdraw(self, owner: object) -> int:
        """Drop an owner's waiting tickets without an answer and return how many there were."""
        with self._settled:
            withdrawn = self._schedule.withdraw(lambda ticket: ticket.owner is owner)
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
            left = self._schedule.withdraw(lambda ticket: True)
            self._ready.notify_all()
        for ticket in left:
            self._deliver(ticket, ticket.failed(STOPPING))
        end_s = time.monotonic() + limit_s
        for thread in self._threads:
            thread.join(max(end_s - time.monotonic(), 0.0))

    def _work(self) -> None:
        while True:
            with self._ready:
                while not self._closed and not len(self._schedule):
                    self._ready.wait(_WAIT_S)
                if self._closed:
                    return
                now_s = time.monotonic()
                taken = self._schedule.take(now_s)
                ticket = taken.item
                if ticket is not None:
                    queue_s = now_s - ticket.timeline.received_s
                    self._running += 1
                    self._meter.started(queue_s, now_s)
            self._report_expired(taken.expired, now_s)
            if ticket is not None:
                answer = self._answer(ticket, queue_s)
                with self._ready:
                    self._running -= 1
                    self._meter.finished(time.monotonic() - now_s, time.monotonic())
                self._deliver(ticket, answer)

    def _answer(self, ticket: Ticket, queue_s: float) -> Answer:
        request = ticket.request
        try:
            deadline_s = ticket.deadline_s(self.max_wait_s)
            outcome = self.engine.run(request, deadline_s, ticket.history)
        except Exception as error:  # whatever one sample does, the next ones are served
            if not isinstance(error, OfframpError) or isinstance(error, EngineError):
                _log.error("sample failed at cut %d of %s: %r", request.cut, request.digest, error)
            return ticket.failed(failure_of(error), queue_s)
        timeline = replace(
            ticket.timeline,
            queue_s=queue_s,
            decode_s=outcome.decode_s,
            segment_s=outcome.segment_s,
            encode_s=outcome.encode_s,
        )
        return Answer(
            request.id,
            outcome.outputs,
            timeline=timeline,
            plan_id=request.plan_id,
            kept=outcome.kept,
        )

    def _report_expired(self, tickets: list[Ticket], now_s: float) -> None:
        for ticket in tickets:
            queue_s = now_s - ticket.timeline.received_s
            self._deliver(ticket, ticket.failed(expired_in_queue(queue_s), queue_s))

    def _deliver(self, ticket: Ticket, answer: Answer) -> None:
        ticket.deliver(answer)
        with self._settled:
            self._settle(1)

    def _settle(self, tickets: int) -> None:
        self._due -= tickets
        self._settled.notify_all()

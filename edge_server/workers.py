"""The workers: threads that take samples from the backlog and run them on the engine.

The decisions are `Backlog`'s; here are only the lock, the clock and the threads.
A worker takes the samples that wait at one place, takes them one step on together, and gives back
those that have more to do, so that an earlier deadline overtakes them there. ONNX Runtime and torch
let go of the interpreter while they compute, so the event loop goes on reading and writing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from edge_server.engine import Engine
from edge_server.passage import Passage, Place
from edge_server.scheduling.backlog import Backlog
from edge_server.scheduling.sample import Room, Turned
from edge_server.scheduling.schedule import Entry
from edge_server.security.clients import Client
from edge_server.ticket import STOPPING, Ticket
from offramp.errors import EngineError, OfframpError
from offramp.messages import Answer, Failure, Load, failure_of

__all__ = ["WorkerPool"]

_WAIT_S = 1.0  # a waiting worker looks around at least this often

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Task:
    """A ticket under way, a `Sample`; ``passage`` is None until its frames are decoded.

    ``first`` is its place until then. ``answer`` is there once it has ended.
    """

    ticket: Ticket
    first: Place
    size_bytes: int
    passage: Passage | None = None
    spent_s: float = 0.0
    steps_s: float = 0.0
    answer: Answer | None = None

    @property
    def client(self) -> Client:
        return self.ticket.client

    @property
    def received_s(self) -> float:
        return self.ticket.timeline.received_s

    @property
    def begun(self) -> bool:
        return self.passage is not None

    @property
    def place(self) -> Place:
        return self.passage.place if self.passage else self.first

    @property
    def ended(self) -> bool:
        return self.answer is not None


class WorkerPool:
    """Runs tickets on as many threads as there is room for, the earliest deadline first.

    None waits longer than ``max_wait_s``. ``cpu_share`` is set from outside and passed on in
    `load`.
    """

    def __init__(self, engine: Engine, room: Room, max_wait_s: float) -> None:
        self.engine = engine
        self.cpu_share = 0.0
        self.max_wait_s = max_wait_s
        self._backlog: Backlog[_Task] = Backlog(room, engine.costs)
        self._due: Counter[str] = Counter()  # what came and was not settled, by bundle
        self._stopping = self._closed = False
        lock = threading.Lock()
        self._ready = threading.Condition(lock)
        self._settled = threading.Condition(lock)
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{at}", daemon=True)
            for at in range(room.workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, ticket: Ticket) -> Failure | None:
        """Accept a ticket, or say why it is refused; then `Ticket.deliver` is not called."""
        with self._settled:
            self._due[ticket.request.digest] += 1  # before the check: no bundle leaves in between
        accepted = False
        try:
            refusal = self._admit(ticket)
            accepted = refusal is None
        finally:
            if not accepted:
                with self._settled:
                    self._settle([ticket])
        return refusal

    def _admit(self, ticket: Ticket) -> Failure | None:
        try:
            self.engine.check(ticket.request)
            place, size_bytes = self.engine.place_of(ticket.request), ticket.timeline.received_bytes
            task = _Task(ticket, place, size_bytes + self.engine.held_bytes(place))
        except OfframpError as error:
            return failure_of(error)
        with self._ready:
            if self._stopping:
                return STOPPING
            now_s = time.monotonic()
            admission = self._backlog.admit(now_s, task, ticket.deadline_s(self.max_wait_s))
            if admission.refusal is None:
                self._ready.notify()
        self._turn_away(admission.turned, now_s)
        return admission.refusal

    def withdraw(self, owner: object) -> int:
        """Drop an owner's waiting tickets without an answer and return how many there were."""
        with self._settled:
            withdrawn = self._backlog.withdraw(
                time.monotonic(), lambda task: task.ticket.owner is owner
            )
            self._settle(task.ticket for task in withdrawn)
        return len(withdrawn)

    def in_flight(self, digest: str) -> int:
        """Return how many samples of a bundle have come and are not answered yet."""
        with self._settled:
            return self._due[digest]

    def load(self) -> Load:
        """Return how busy the pool is now."""
        with self._ready:
            return self._backlog.load(time.monotonic(), self.cpu_share)

    def drain(self, limit_s: float) -> bool:
        """Refuse new tickets, wait until all others are delivered, and tell whether they were."""
        with self._settled:
            self._stopping = True
            return self._settled.wait_for(lambda: not self._due, limit_s)

    def give_up(self) -> None:
        """Refuse what waits and all that comes; what a worker has in hand is ended."""
        with self._ready:
            self._stopping = self._closed = True
            left = self._backlog.withdraw(time.monotonic(), lambda task: True)
            self._ready.notify_all()
        for task in left:
            self._deliver(task.ticket, task.ticket.failed(STOPPING))

    def close(self, limit_s: float) -> None:
        """Fail what still waits and end the threads; one that computes on is left behind."""
        self.give_up()
        end_s = time.monotonic() + limit_s
        for thread in self._threads:
            thread.join(max(end_s - time.monotonic(), 0.0))

    def _work(self) -> None:
        while (batch := self._take()) is not None:
            going: Sequence[Entry[_Task]] = batch
            while going:
                self._advance([entry.item for entry in going])
                going = self._let_go(going)

    def _take(self) -> list[Entry[_Task]] | None:
        """Return what to run next, as soon as there is something; None once the pool is closed."""
        while True:
            with self._ready:
                while not self._closed and not len(self._backlog):
                    self._ready.wait(_WAIT_S)
                if self._closed:
                    return None
                now_s = time.monotonic()
                taken = self._backlog.take(now_s)
            self._turn_away(taken.turned, now_s)
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
                self.engine.costs.observe_beside(task.first, task.spent_s - task.steps_s)

    def _let_go(self, entries: Sequence[Entry[_Task]]) -> Sequence[Entry[_Task]]:
        """Deliver the answers there are and let the other samples wait for their next step.

        Once the pool is closed they cannot, and are returned: what was begun is ended.
        """
        with self._ready:
            ended, going = self._backlog.stepped(time.monotonic(), entries)
            if not self._closed:
                self._backlog.put_back(going)
                self._ready.notify(len(going))
                going = ()
        for task in ended:
            assert task.answer is not None
            self._deliver(task.ticket, task.answer)
        return going

    def _begin(self, tasks: Sequence[_Task]) -> None:
        for task in tasks:
            task.passage = self.engine.begin(task.ticket.request, task.ticket.history)

    def _step(self, tasks: Sequence[_Task]) -> None:
        share_s = self.engine.step([task.passage for task in tasks if task.passage]) / len(tasks)
        for task in tasks:
            task.steps_s += share_s

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
                exit=outcome.exit,
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
                told = request.cut, request.digest, error
                _log.error("sample failed at cut %d of %s: %r", *told, extra=ticket.ids)
            tasks[0].answer = ticket.failed(failure_of(error), began_s - ticket.timeline.received_s)
        share_s = (time.monotonic() - began_s) / len(tasks)
        for task in tasks:
            task.spent_s += share_s

    def _turn_away(self, turned: Sequence[Turned[_Task]], now_s: float) -> None:
        for task, failure in turned:
            self._deliver(task.ticket, task.ticket.failed(failure, now_s - task.received_s))

    def _deliver(self, ticket: Ticket, answer: Answer) -> None:
        ticket.deliver(answer)
        with self._settled:
            self._settle([ticket])

    def _settle(self, tickets: Iterable[Ticket]) -> None:
        for ticket in tickets:
            self._due[ticket.request.digest] -= 1
            if not self._due[ticket.request.digest]:
                del self._due[ticket.request.digest]
        self._settled.notify_all()

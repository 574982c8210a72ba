"""The backlog: which samples a server lets in, and which of them its workers take next.

The server's threads and the simulator's events drive the same object. It has no clock or lock: the
time is an argument, and callers see to it that one at a time asks.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from edge_server.load import LoadMeter
from edge_server.passage import Place
from edge_server.schedule import Entry, Schedule, Taken
from edge_server.ticket import expired_in_queue, expired_on_the_way, queue_full
from offramp.messages import Failure, Load

__all__ = ["Admission", "Backlog", "Sample", "why_expired"]


class Sample(Protocol):
    """A sample on its way through a server."""

    @property
    def received_s(self) -> float:
        """When it came."""

    @property
    def begun(self) -> bool:
        """Whether its frames are decoded."""

    @property
    def place(self) -> Place:
        """What comes next for it."""

    @property
    def spent_s(self) -> float:
        """Its share of the engine's time."""

    @property
    def ended(self) -> bool:
        """Whether nothing comes any more, for it is answered."""


S = TypeVar("S", bound=Sample)


class Admission(NamedTuple, Generic[S]):
    """Why a sample was turned away, None if it was let in, and those that have expired by then."""

    refusal: Failure | None
    expired: list[S]


class Backlog(Generic[S]):
    """The samples that wait for ``workers``, at most ``queue_length``, and what is known of load.

    ``running`` are those that workers have. One that was let in leaves once: it ends, expires or
    is withdrawn.
    """

    def __init__(self, workers: int, queue_length: int) -> None:
        self._workers = workers
        self._schedule: Schedule[S] = Schedule(queue_length)
        self._meter = LoadMeter(workers)
        self.running = 0

    def __len__(self) -> int:
        return len(self._schedule)

    def admit(self, now_s: float, sample: S, deadline_s: float) -> Admission[S]:
        """Let a sample wait until its deadline, or turn it away; the expired make room first."""
        expired = self._schedule.expire(now_s)
        each_s = self._meter.service_s / self._workers
        retry_after_s = self._schedule.offer(sample, deadline_s, each_s, sample.place)
        if retry_after_s is not None:
            return Admission(queue_full(retry_after_s), expired)
        self._meter.arrived(now_s)
        self._note(now_s)
        return Admission(None, expired)

    def take(self, now_s: float, most: Callable[[Hashable, float], int]) -> Taken[S]:
        """Give a worker that is free what to run as one, as `Schedule.take` does."""
        taken = self._schedule.take(now_s, most)
        self.running += len(taken.batch)
        self._note(now_s)
        return taken

    def stepped(
        self, now_s: float, entries: Sequence[Entry[S]]
    ) -> tuple[list[S], Sequence[Entry[S]]]:
        """Take in that a worker is through with a step; return who has ended, and who goes on.

        The latter still count as running, until they are `put_back`.
        """
        ended = [entry.item for entry in entries if entry.item.ended]
        for sample in ended:
            self._meter.finished(sample.spent_s, now_s)
        self.running -= len(ended)
        self._note(now_s)
        if len(ended) == len(entries):
            return ended, ()
        return ended, [entry for entry in entries if not entry.item.ended]

    def put_back(self, entries: Sequence[Entry[S]]) -> None:
        """Let samples wait for their next step, beside what has come meanwhile."""
        self.running -= len(entries)
        for entry in entries:
            self._schedule.put_back(entry, entry.item.place)

    def withdraw(self, now_s: float, unwanted: Callable[[S], bool]) -> list[S]:
        """Remove and return those that wait and that nobody wants any more."""
        withdrawn = self._schedule.withdraw(unwanted)
        self._note(now_s)
        return withdrawn

    @property
    def wait_s(self) -> float:
        """How long one that came now would wait."""
        return self._meter.wait_s

    def load(self, now_s: float, cpu_share: float) -> Load:
        """Return what an answer that leaves now tells its device."""
        return self._meter.load(len(self._schedule), self.running, cpu_share, now_s)

    def _note(self, now_s: float) -> None:
        self._meter.changed(len(self._schedule), self.running, now_s)


def why_expired(now_s: float, sample: Sample) -> Failure:
    """Return why a sample whose deadline has come has no answer."""
    if sample.begun:
        return expired_on_the_way(sample.place.at)
    return expired_in_queue(now_s - sample.received_s)

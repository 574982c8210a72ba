"""Virtual servers: the deployed backlog and batch sizes, with times from a profile.

What `edge_server.workers` does with threads and an engine happens here in virtual time, step by
step in the same order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from edge_server.scheduling.backlog import Backlog
from edge_server.scheduling.sample import Room, Turned
from edge_server.scheduling.schedule import Entry
from edge_server.scheduling.step_costs import Step, StepCosts
from edge_server.ticket import deadline_s
from offramp.fusing import FUSE_AFTER, Streak
from offramp.messages import Load, Timeline
from sim.world.clock import Clock
from sim.world.course import LoadCourse
from sim.world.job import Job, Sender
from sim.world.tail import Tail

__all__ = ["Capacity", "ServerTotals", "VirtualServer"]


@dataclass
class ServerTotals:
    """What a server did from a time on: with requests that came, and in steps that it took.

    Its workers were busy for ``busy_s``, the last of them until ``until_s``; ``batches`` counts
    steps by their size.
    """

    accepted: int = 0
    refused: int = 0
    expired: int = 0
    answered: int = 0
    busy_s: float = 0.0
    until_s: float = 0.0
    queue_s: float = 0.0
    batches: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True)
class Capacity:
    """How much a server takes in, as `edge_server.settings` has it; ``load`` stretches times."""

    room: Room = field(default_factory=Room)
    max_wait_s: float = 10.0
    load: LoadCourse = field(default_factory=LoadCourse)


class VirtualServer:
    """Runs jobs on its workers, the earliest deadline first.

    ``tails`` has the times of each bundle that it holds, by digest. What comes and is done before
    ``counted_from_s`` is no part of its ``totals``.
    """

    def __init__(
        self,
        clock: Clock,
        tails: Mapping[str, Tail],
        capacity: Capacity,
        counted_from_s: float = 0.0,
    ) -> None:
        self._clock, self._tails, self._load = clock, tails, capacity.load
        self.workers = self._idle = capacity.room.workers
        self._counted_from_s = counted_from_s
        self._max_wait_s = capacity.max_wait_s
        self._costs = StepCosts()
        for tail in tails.values():
            tail.teach(self._costs)
        self._backlog: Backlog[Job] = Backlog(capacity.room, self._costs)
        self._streak = Streak()
        self._fused: dict[str, dict[int, int]] = {}
        self.totals = ServerTotals()

    def load(self) -> Load:
        """Return what an answer that leaves now tells its device."""
        return self._backlog.load(self._clock.now_s, 1 - self._idle / self.workers)

    @property
    def wait_s(self) -> float:
        """How long one that came now would wait for a worker."""
        return self._backlog.wait_s

    def arrive(self, job: Job) -> None:
        """Accept a job that comes now, or turn it away."""
        now_s = self._clock.now_s
        job.received_s, job.place = now_s, self._tails[job.digest].places[job.cut]
        until_s = deadline_s(now_s, job.timeout_s, self._max_wait_s)
        refusal, turned = self._backlog.admit(now_s, job, until_s)
        self._turn_away(turned)
        if refusal is not None:
            self.totals.refused += self._counts(job)
            job.sender.turned_away(job, refusal)
            return
        self.totals.accepted += self._counts(job)
        self._work()

    def withdraw(self, sender: Sender) -> None:
        """Drop what waits here of a sender whose stream is gone."""
        self._backlog.withdraw(self._clock.now_s, lambda job: job.sender is sender)

    def _work(self) -> None:
        """Give idle workers what waits."""
        while self._idle and len(self._backlog):
            now_s = self._clock.now_s
            taken = self._backlog.take(now_s)
            self._turn_away(taken.turned)
            if not taken.batch:
                return
            self._idle -= 1
            until_s = now_s + self._begin(now_s, taken.batch)
            self._count_step(now_s, until_s, len(taken.batch))
            self._clock.at(until_s, self._stepped, taken.batch)

    def _begin(self, now_s: float, batch: Sequence[Entry[Job]]) -> float:
        """Return how long a batch takes for its next step, and for decoding before its first."""
        stretch, decode_s = self._load.stretch(now_s), 0.0
        jobs = [entry.item for entry in batch]
        for job in jobs:
            if not job.begun:
                job.begun = True
                job.decode_s = self._tails[job.digest].decode_s(job.cut, job.level) * stretch
                job.spent_s += job.decode_s
                decode_s += job.decode_s
                if self._streak.observe((job.digest, job.cut)) == FUSE_AFTER:
                    stops = {job.cut, *(at for at, _ in job.asks), self._tails[job.digest].depth}
                    self._fused[job.digest] = dict(pairwise(sorted(stops)))
        return decode_s + self._step(jobs, stretch)

    def _step(self, jobs: Sequence[Job], stretch: float) -> float:
        place = jobs[0].place
        tail = self._tails[place.digest]
        stop = self._stop(tail, jobs)
        step_s = (tail.step_s(place.at, stop, len(jobs)) + _exits_s(tail, jobs, stop)) * stretch
        going = sum(stop not in (tail.depth, job.end) for job in jobs)
        self._costs.observe(Step(place, len(jobs), step_s, tail.places[stop], going))
        for job in jobs:
            job.place, job.ended = tail.places[stop], stop in (tail.depth, job.end)
            job.segment_s.append(step_s)
            job.spent_s += step_s / len(jobs)
        return step_s

    def _stop(self, tail: Tail, jobs: Sequence[Job]) -> int:
        """Return where a step ends: behind what is fused, not beyond where a job may leave."""
        place = jobs[0].place
        nearest = min(
            (at for job in jobs for at, _ in job.asks if at > place.at), default=tail.depth
        )
        fused = self._fused.get(place.digest, {}).get(place.at, place.at + 1)
        return fused if fused <= nearest else place.at + 1

    def _counts(self, job: Job) -> bool:
        return job.received_s >= self._counted_from_s

    def _count_step(self, begun_s: float, until_s: float, size: int) -> None:
        """Count a step, or what of it comes after the start of counting, whatever becomes of it."""
        totals = self.totals
        totals.batches[size] += begun_s >= self._counted_from_s
        totals.busy_s += max(until_s - max(begun_s, self._counted_from_s), 0.0)
        totals.until_s = max(totals.until_s, until_s)

    def _stepped(self, batch: Sequence[Entry[Job]]) -> None:
        """Answer what has come to its end, and let the others wait for their next step."""
        now_s = self._clock.now_s
        self._idle += 1
        ended, going = self._backlog.stepped(now_s, batch)
        self._backlog.put_back(going)
        for job in ended:
            self._answer(now_s, job)
        self._work()

    def _answer(self, now_s: float, job: Job) -> None:
        total_s = now_s - job.received_s
        queue_s = max(total_s - job.decode_s - sum(job.segment_s), 0.0)
        self._costs.observe_beside(self._tails[job.digest].places[job.cut], job.decode_s)
        if self._counts(job):
            self.totals.answered += 1
            self.totals.queue_s += queue_s
        timeline = Timeline(
            received_s=job.received_s,
            queue_s=queue_s,
            decode_s=job.decode_s,
            segment_s=tuple(job.segment_s),
            total_s=total_s,
            received_bytes=job.size_bytes,
        )
        job.sender.served(job, timeline, self.load())

    def _turn_away(self, turned: Sequence[Turned[Job]]) -> None:
        for job, failure in turned:
            expired = failure.status == "DEADLINE_EXCEEDED"
            self.totals.expired += expired and self._counts(job)
            self.totals.refused += not expired and self._counts(job)
            job.sender.turned_away(job, failure)


def _exits_s(tail: Tail, jobs: Sequence[Job], at: int) -> float:
    """Return how long the exits at a boundary take that are asked about jobs which come to it."""
    asked = [number for job in jobs for stop, number in job.asks if stop == at]
    if not asked:
        return 0.0
    return sum(tail.exit_s(number, count) for number, count in Counter(asked).items())

"""The backlog: which samples a server lets in, and which of them its workers take next.

The server's threads and the simulator's events drive the same object. It has no clock or lock: the
time is an argument, and callers see to it that one at a time asks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from edge_server.scheduling.fair_shares import FairShares
from edge_server.scheduling.forecast import Forecast
from edge_server.scheduling.load import LoadMeter
from edge_server.scheduling.merging import place_to_run
from edge_server.scheduling.patience import Patience
from edge_server.scheduling.retry_times import RetryTimes
from edge_server.scheduling.sample import Admission, Room, Sample, Taken, Turned
from edge_server.scheduling.schedule import Entry, Schedule
from edge_server.scheduling.step_costs import StepCosts
from edge_server.scheduling.underway import Underway
from edge_server.security.clients import Client
from edge_server.ticket import (
    expired_in_queue,
    expired_on_the_way,
    gave_way,
    queue_full,
    too_late,
)
from offramp.messages import Failure, Load

__all__ = ["Backlog"]

S = TypeVar("S", bound=Sample)

_MOST_GIVE_WAY = 16


class Backlog(Generic[S]):
    """The samples in a server, which leave once: they end, are turned away or withdrawn.

    A sample is refused when it comes if it would be answered too late, or another one that was
    promised an answer would. Then those give way whose clients have had the most lately, if that
    is more than this one's has; a sample that has begun stays. The one that comes while nothing
    waits is let in whatever is expected, so that expectations that are wrong are found out.
    """

    def __init__(self, room: Room, costs: StepCosts) -> None:
        self._room, self._costs = room, costs
        self._schedule: Schedule[S] = Schedule()
        self._underway: Underway[S] = Underway(room.workers)
        self._forecast = Forecast(self._schedule, self._underway, costs, room.workers)
        self._meter = LoadMeter(room.workers)
        self._shares = FairShares()
        self._retries = RetryTimes()
        self._patience = Patience()
        self._held_bytes = 0
        self.running = 0

    def __len__(self) -> int:
        return len(self._schedule)

    def admit(self, now_s: float, sample: S, deadline_s: float) -> Admission[S]:
        """Let a sample wait until its deadline, or refuse it; the expired make room first."""
        turned = self._expire(now_s)
        entry = self._schedule.entry(sample, deadline_s, sample.place)
        late_s = self._late_s(now_s, entry)
        hopeless = self._forecast.is_hopeless(now_s, entry)
        if late_s > 0:
            yielded = [] if hopeless else self._make_room(now_s, entry, late_s)
            if not yielded:
                return Admission(self._refusal(now_s, entry, late_s), turned)
            for one in yielded:
                turned.append(Turned(one.item, gave_way(self._retry_s(now_s, one, 0.0))))
        if not hopeless:
            self._patience.note(now_s, deadline_s - now_s)
        self._let_in(now_s, entry)
        self._meter.arrived(now_s)
        self._note(now_s)
        return Admission(None, turned)

    def take(self, now_s: float) -> Taken[S]:
        """Give a worker that is free what to run as one: the most urgent, or what merges with it.

        What would come too late even if it ran now is dropped, unless nothing else waits.
        """
        turned = self._expire(now_s)
        if len(self._schedule) > 1:
            turned += self._drop_hopeless(now_s)
        batch = self._next_batch(now_s)
        if batch:
            until_s = now_s + self._costs.step(batch[0].place).time_s(len(batch))
            self._underway.begin(batch, until_s)
            self.running += len(batch)
        self._note(now_s)
        return Taken(batch, turned)

    def stepped(
        self, now_s: float, entries: Sequence[Entry[S]]
    ) -> tuple[list[S], Sequence[Entry[S]]]:
        """Take in that a worker is through with a step; return who has ended, and who goes on.

        The latter still count as running, until they are `put_back`.
        """
        self._underway.end(entries)
        ended = [entry.item for entry in entries if entry.item.ended]
        for sample in ended:
            self._meter.finished(sample.spent_s, now_s)
            self._held_bytes -= sample.size_bytes
        self.running -= len(ended)
        self._note(now_s)
        if len(ended) == len(entries):
            return ended, ()
        return ended, [entry for entry in entries if not entry.item.ended]

    def put_back(self, entries: Sequence[Entry[S]]) -> None:
        """Let samples wait for their next step, beside what has come meanwhile."""
        self.running -= len(entries)
        for entry in entries:
            entry.place = entry.item.place
            self._schedule.add(entry)

    def withdraw(self, now_s: float, unwanted: Callable[[S], bool]) -> list[S]:
        """Remove and return those that wait and that nobody wants any more."""
        withdrawn = self._schedule.withdraw(unwanted)
        for entry in withdrawn:
            self._left(now_s, entry)
        self._note(now_s)
        return [entry.item for entry in withdrawn]

    @property
    def wait_s(self) -> float:
        """How long one that came now would wait."""
        return self._meter.wait_s

    def load(self, now_s: float, cpu_share: float) -> Load:
        """Return what an answer that leaves now tells its device."""
        return self._meter.load(len(self._schedule), self.running, cpu_share, now_s)

    def _next_batch(self, now_s: float) -> list[Entry[S]]:
        first = self._schedule.first()
        if first is None or len(self._schedule) == 1:
            return [] if first is None else self._schedule.take(first.place, 1)
        patience_s = self._patience.shortest_s(now_s)
        place = place_to_run(self._schedule, self._costs, now_s, patience_s)
        first = self._schedule.first(place)
        assert first is not None
        most = self._costs.most(place, patience_s)
        way = self._costs.to_end(place, begun=first.item.begun)
        return self._schedule.take(place, way.fitting(most, first.deadline_s - now_s))

    def _late_s(self, now_s: float, new: Entry[S]) -> float:
        """Return by how much a sample, or another for its sake, would be late; infinity if full."""
        if not len(self._schedule) and self._underway.idle:
            return 0.0
        held_bytes = self._held_bytes + new.item.size_bytes
        if len(self) >= self._room.queue_length or held_bytes > self._room.queue_bytes:
            return math.inf
        return self._forecast.late_s(now_s, new, self._patience.shortest_s(now_s))

    def _make_room(self, now_s: float, new: Entry[S], late_s: float) -> list[Entry[S]]:
        """Remove those who give way to a sample that is late; nobody if that does not help."""
        yielded: list[Entry[S]] = []
        while late_s > 0:
            one = self._furthest_ahead(now_s, new) if len(yielded) < _MOST_GIVE_WAY else None
            if one is None:
                for one in yielded:
                    self._let_in(now_s, one)
                return []
            self._schedule.remove(one)
            self._left(now_s, one)
            yielded.append(one)
            late_s -= self._cost_s(one) / self._room.workers
            if late_s <= 0 or late_s == math.inf:  # a forecast costs more than a guess
                late_s = self._late_s(now_s, new)
        return yielded

    def _furthest_ahead(self, now_s: float, new: Entry[S]) -> Entry[S] | None:
        """Return who waits of the client that has had the most, the first in line.

        That helps all behind it. None whose client would then have had less than the new one's.
        """
        least_s = self._shares.had_s(now_s, new.item.client)
        least_s += self._cost_s(new) / new.item.client.weight
        first: dict[Client, Entry[S]] = {}
        for entry in self._schedule:
            client = entry.item.client
            if not entry.item.begun:
                first[client] = min(entry, first.get(client, entry))
        found = []
        for client, entry in first.items():
            had_s = self._shares.had_s(now_s, client)
            if client != new.item.client and had_s - self._cost_s(entry) / client.weight >= least_s:
                found.append((had_s, -entry.order, entry))
        return max(found)[-1] if found else None

    def _cost_s(self, entry: Entry[S]) -> float:
        """Return what a sample that has not begun takes of the engine, alone."""
        return self._costs.to_end(entry.place, begun=False).time_s(1)

    def _let_in(self, now_s: float, entry: Entry[S]) -> None:
        self._schedule.add(entry)
        self._held_bytes += entry.item.size_bytes
        self._shares.charge(now_s, entry.item.client, self._cost_s(entry))

    def _left(self, now_s: float, entry: Entry[S]) -> None:
        """Take in that a sample has left without an answer: what has not begun costs nothing."""
        self._held_bytes -= entry.item.size_bytes
        if not entry.item.begun:
            self._shares.charge(now_s, entry.item.client, -self._cost_s(entry))

    def _expire(self, now_s: float) -> list[Turned[S]]:
        return [self._expired(now_s, entry) for entry in self._schedule.expire(now_s)]

    def _drop_hopeless(self, now_s: float) -> list[Turned[S]]:
        """Drop what is first in line and cannot be in time any more, unless nothing else waits."""
        hopeless: list[Entry[S]] = []
        for entry in sorted(self._schedule):
            if not self._forecast.is_hopeless(now_s, entry):
                break
            hopeless.append(entry)
        if len(hopeless) == len(self._schedule):
            return []
        for entry in hopeless:
            self._schedule.remove(entry)
        return [self._expired(now_s, entry) for entry in hopeless]

    def _expired(self, now_s: float, entry: Entry[S]) -> Turned[S]:
        self._left(now_s, entry)
        sample = entry.item
        if sample.begun:
            return Turned(sample, expired_on_the_way(sample.place.at))
        return Turned(sample, expired_in_queue(now_s - sample.received_s))

    def _refusal(self, now_s: float, entry: Entry[S], late_s: float) -> Failure:
        if late_s == math.inf:
            return queue_full(self._retry_s(now_s, entry, 0.0))
        return too_late(late_s, self._retry_s(now_s, entry, late_s))

    def _retry_s(self, now_s: float, entry: Entry[S], earliest_s: float) -> float:
        each_s = self._meter.service_s / self._room.workers
        return self._retries.next_s(now_s, entry.item.client, earliest_s, each_s)

    def _note(self, now_s: float) -> None:
        self._meter.changed(len(self._schedule), self.running, now_s)

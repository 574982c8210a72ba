"""The forecast: whether what waits will be answered in time, with one more that comes."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator
from operator import attrgetter
from typing import Generic, NamedTuple, Protocol, TypeVar

from edge_server.scheduling.cost_curve import Parts
from edge_server.scheduling.schedule import Entry, Schedule
from edge_server.scheduling.step_costs import StepCosts
from edge_server.scheduling.underway import Underway

__all__ = ["Forecast"]


class _Sample(Protocol):
    @property
    def begun(self) -> bool: ...


S = TypeVar("S", bound=_Sample)


class _Ahead(NamedTuple, Generic[S]):
    """An entry, what comes next for it, and whether its frames are decoded."""

    entry: Entry[S]
    place: Hashable
    begun: bool


class Forecast(Generic[S]):
    """What becomes of the samples of a schedule and of those under way, if nothing else comes."""

    def __init__(
        self, schedule: Schedule[S], underway: Underway[S], costs: StepCosts, workers: int
    ) -> None:
        self._schedule, self._underway = schedule, underway
        self._costs, self._workers = costs, workers

    def late_s(self, now_s: float, new: Entry[S], patience_s: float) -> float:
        """Return by how much a new entry, or for its sake another one, would be too late.

        Zero if all that are in time without it are in time with it, and so is it itself. Batches
        are as large as where others wait ``patience_s`` (`StepCosts.most`).
        """
        free_s = self._underway.free_s(now_s)
        if free_s + self._serial_s(new) <= new.deadline_s:
            return 0.0  # even after all others, one by one: so those behind it are in time too
        late_s, more_s, elapsed_s = -math.inf, 0.0, 0.0
        launches = _Launches(self._costs, patience_s)
        for entry, place, begun in self._line(new):
            step = launches.join(place, begun)
            if late_s > -math.inf or entry is new:
                own_s = step.as_batch_s((entry.deadline_s - now_s) / 2)
                by_s = free_s + elapsed_s + own_s - entry.deadline_s
                if entry is new:
                    late_s, more_s = by_s, step.adds_s / self._workers
                elif by_s - more_s <= 0:
                    late_s = max(late_s, by_s)
            elapsed_s += step.adds_s / self._workers
        return max(late_s, 0.0)

    def is_hopeless(self, now_s: float, entry: Entry[S]) -> bool:
        """Tell whether an entry would be too late even if nothing else waited or ran."""
        alone = self._costs.to_end(entry.place, begun=entry.item.begun)
        return now_s + alone.time_s(1) > entry.deadline_s

    def _serial_s(self, new: Entry[S]) -> float:
        """Return what all take if none shares a step with another."""
        counts = [(place, self._schedule.count(place)) for place in self._schedule.places]
        counts += [(entry.place, 1) for entry in self._underway]
        counts.append((new.place, 1))
        to_end = self._costs.to_end
        return sum(count * to_end(place, begun=False).time_s(1) for place, count in counts)

    def _line(self, new: Entry[S]) -> Iterable[_Ahead[S]]:
        """Return all with the new one among them, the earliest deadline first."""
        line = [_Ahead(entry, entry.place, entry.item.begun) for entry in self._schedule]
        line += self._running()
        line.append(_Ahead(new, new.place, False))
        by_deadline = attrgetter("deadline_s", "order")
        return sorted(line, key=lambda one: by_deadline(one.entry))

    def _running(self) -> Iterator[_Ahead[S]]:
        for entry in self._underway:
            for place in self._costs.onward(entry.place):
                yield _Ahead(entry, place, True)
                break


class _Joined(NamedTuple):
    """What one more sample adds to the work, and what its way takes, at most ``most`` as one."""

    adds_s: float
    way: Parts
    most: int

    def as_batch_s(self, room_s: float) -> float:
        """Return what it takes in as large a batch as there is room for."""
        return self.way.time_s(self.way.fitting(self.most, room_s))


class _Launches:
    """The steps that are launched anyway, for those that are counted already.

    Those that come to a step together share its fixed cost, wherever they were cut, in batches as
    large as they are worth making.
    """

    def __init__(self, costs: StepCosts, patience_s: float) -> None:
        self._costs, self._patience_s = costs, patience_s
        self._launched: set[Hashable] = set()
        self._joined: dict[Hashable, int] = {}
        self._most: dict[Hashable, int] = {}

    def join(self, place: Hashable, begun: bool) -> _Joined:
        """Take in one more at a place."""
        way = self._costs.to_end(place, begun=begun)
        most = self._most.get(place)
        if most is None:
            most = self._most[place] = self._costs.most(place, self._patience_s)
        joined = self._joined.get(place, 0)
        if joined >= most:
            joined = 0
            self._launched -= {place, *self._costs.onward(place)}
        self._joined[place] = joined + 1
        launch_s = 0.0 if place in self._launched else self._launch(place, way.fixed_s)
        return _Joined(way.each_s + launch_s, way, most)

    def _launch(self, place: Hashable, fixed_s: float) -> float:
        """Return what it costs to bring somebody from a place to where others go on anyway."""
        self._launched.add(place)
        for after in self._costs.onward(place):
            if after in self._launched:
                return fixed_s - self._costs.to_end(after).fixed_s
            self._launched.add(after)
        return fixed_s

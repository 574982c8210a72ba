"""The schedule: a bounded queue, earliest deadline first, that hands out batches.

It holds no clock: the time is an argument, so that the server and the simulator run the same
code. Times and deadlines are seconds on one clock of the caller's own.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, NamedTuple, TypeVar

__all__ = ["Entry", "Schedule", "Taken"]

T = TypeVar("T")

_SHORTEST_RETRY_S = 0.001  # a full queue is never worth asking again at once


@dataclass(order=True, slots=True)
class Entry(Generic[T]):
    """An item with its deadline and its ``place``: those that wait at the same one may run as one.

    Entries are ordered by deadline, and by the order in which they came.
    """

    deadline_s: float
    order: int
    item: T = field(compare=False)
    place: Hashable = field(compare=False)


class Taken(NamedTuple, Generic[T]):
    """What `Schedule.take` found: entries at one place, none if none waits, and what expired."""

    batch: list[Entry[T]]
    expired: list[T]


class Schedule(Generic[T]):
    """A queue of at most ``capacity`` items; equal deadlines leave in the order they came.

    Each item that is accepted leaves once: taken for good, expired or withdrawn. An accepted item
    is never pushed out by a later one, so a promise that was made is kept or expires. One that was
    taken and has more to do comes back (`put_back`) and is always let in.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._heap: list[Entry[T]] = []
        self._order = count()

    def __len__(self) -> int:
        return len(self._heap)

    def offer(
        self, item: T, deadline_s: float, service_s: float = 0.0, place: Hashable = None
    ) -> float | None:
        """Accept an item and return None, or refuse it and return when to try again, in seconds.

        ``service_s`` is the recent time between two items taken. The answer is when half of a
        full queue will have gone: after one item, all that were refused would meet again.
        """
        if len(self._heap) >= self._capacity:
            return max(self._capacity / 2 * service_s, _SHORTEST_RETRY_S)
        heapq.heappush(self._heap, Entry(deadline_s, next(self._order), item, place))
        return None

    def put_back(self, entry: Entry[T], place: Hashable) -> None:
        """Let an item that was taken wait at another place, as long as it has waited before."""
        entry.place = place
        heapq.heappush(self._heap, entry)

    def take(
        self, now_s: float, most: Callable[[Hashable, float], int] = lambda place, room_s: 1
    ) -> Taken[T]:
        """Remove what has expired, and the item with the earliest deadline with others beside it.

        These wait at the same place. ``most`` says how many there may be altogether, from the place
        and the time until the earliest deadline.
        """
        expired = self.expire(now_s)
        if not self._heap:
            return Taken([], expired)
        first = heapq.heappop(self._heap)
        others = most(first.place, first.deadline_s - now_s) - 1
        return Taken([first, *self._take_beside(first, others)], expired)

    def _take_beside(self, first: Entry[T], others: int) -> list[Entry[T]]:
        if others < 1 or not self._heap:
            return []
        beside = heapq.nsmallest(others, [one for one in self._heap if one.place == first.place])
        if beside:
            taken = {one.order for one in beside}
            self._heap = [one for one in self._heap if one.order not in taken]
            heapq.heapify(self._heap)
        return beside

    def expire(self, now_s: float) -> list[T]:
        """Remove and return the items whose deadline has come, the earliest first."""
        expired = []
        while self._heap and self._heap[0].deadline_s <= now_s:
            expired.append(heapq.heappop(self._heap).item)
        return expired

    def withdraw(self, unwanted: Callable[[T], bool]) -> list[T]:
        """Remove and return the items that nobody waits for any more."""
        withdrawn = [entry for entry in self._heap if unwanted(entry.item)]
        if withdrawn:
            self._heap = [entry for entry in self._heap if not unwanted(entry.item)]
            heapq.heapify(self._heap)
        return [entry.item for entry in sorted(withdrawn)]

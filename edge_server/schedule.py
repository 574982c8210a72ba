"""The schedule: a bounded queue, earliest deadline first, that drops what can only be late.

It holds no clock: the time is an argument, so that the server and the simulator run the same
code. Times and deadlines are seconds on one clock of the caller's own.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeVar

__all__ = ["Schedule", "Taken"]

T = TypeVar("T")

_SHORTEST_RETRY_S = 0.001  # a full queue is never worth asking again at once


@dataclass(frozen=True)
class Taken(Generic[T]):
    """What `Schedule.take` found: the next item, if there is one, and those that expired."""

    item: T | None
    expired: list[T]


class Schedule(Generic[T]):
    """A queue of at most ``capacity`` items; equal deadlines leave in the order they came.

    Each item that is accepted leaves once: taken, expired or withdrawn. An accepted item is
    never pushed out by a later one, so a promise that was made is kept or expires.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._heap: list[tuple[float, int, T]] = []
        self._order = count()

    def __len__(self) -> int:
        return len(self._heap)

    def offer(self, item: T, deadline_s: float, service_s: float = 0.0) -> float | None:
        """Accept an item and return None, or refuse it and return when to try again, in seconds.

        ``service_s`` is the recent time between two items taken. The answer is when half of a
        full queue will have gone: after one item, all that were refused would meet again.
        """
        if len(self._heap) >= self._capacity:
            return max(self._capacity / 2 * service_s, _SHORTEST_RETRY_S)
        heapq.heappush(self._heap, (deadline_s, next(self._order), item))
        return None

    def take(self, now_s: float) -> Taken[T]:
        """Remove what has expired and the item with the earliest deadline."""
        expired = self.expire(now_s)
        return Taken(heapq.heappop(self._heap)[2] if self._heap else None, expired)

    def expire(self, now_s: float) -> list[T]:
        """Remove and return the items whose deadline has come, the earliest first."""
        expired = []
        while self._heap and self._heap[0][0] <= now_s:
            expired.append(heapq.heappop(self._heap)[2])
        return expired

    def withdraw(self, unwanted: Callable[[T], bool]) -> list[T]:
        """Remove and return the items that nobody waits for any more."""
        withdrawn = [entry for entry in self._heap if unwanted(entry[2])]
        if withdrawn:
            self._heap = [entry for entry in self._heap if not unwanted(entry[2])]
            heapq.heapify(self._heap)
        return [item for _, _, item in sorted(withdrawn, key=lambda entry: entry[:2])]

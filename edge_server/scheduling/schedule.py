"""The schedule: what waits, place by place, in the order of deadlines.

It holds no clock: the time is an argument, so that the server and the simulator run the same
code. Times and deadlines are seconds on one clock of the caller's own.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Generic, TypeVar

__all__ = ["Entry", "Schedule"]

T = TypeVar("T")


@dataclass(order=True, slots=True)
class Entry(Generic[T]):
    """An item with its deadline and its ``place``: those that wait at the same one may run as one.

    Entries are ordered by deadline, and by the order in which they came.
    """

    deadline_s: float
    order: int
    item: T = field(compare=False)
    place: Hashable = field(compare=False)


class Schedule(Generic[T]):
    """Entries that wait. Each leaves once, by one of the methods that remove, or comes back."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[Entry[T]]] = {}
        self._order = count()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Entry[T]]:
        """Yield what waits, place by place, at each the earliest deadline first."""
        return chain.from_iterable(self._waiting.values())

    @property
    def places(self) -> list[Hashable]:
        """Where something waits."""
        return list(self._waiting)

    def count(self, place: Hashable) -> int:
        """Return how many wait at a place."""
        return len(self._waiting.get(place, ()))

    def entry(self, item: T, deadline_s: float, place: Hashable = None) -> Entry[T]:
        """Return the entry of an item that comes now; it does not wait yet."""
        return Entry(deadline_s, next(self._order), item, place)

    def add(self, entry: Entry[T]) -> None:
        """Let an entry wait at its place."""
        insort(self._waiting.setdefault(entry.place, []), entry)
        self._length += 1

    def first(self, place: Hashable = None) -> Entry[T] | None:
        """Return the earliest of all, or of those at a place."""
        if place is not None:
            return self._waiting[place][0] if place in self._waiting else None
        return min((entries[0] for entries in self._waiting.values()), default=None)

    def take(self, place: Hashable, most: int) -> list[Entry[T]]:
        """Remove and return the earliest at a place, at most so many."""
        entries = self._waiting[place]
        taken, left = entries[:most], entries[most:]
        self._leave(place, left, len(taken))
        return taken

    def remove(self, entry: Entry[T]) -> None:
        """Remove an entry that waits."""
        entries = self._waiting[entry.place]
        del entries[bisect_left(entries, entry)]
        self._leave(entry.place, entries, 1)

    def expire(self, now_s: float) -> list[Entry[T]]:
        """Remove and return those whose deadline has come, the earliest first."""
        expired = []
        for place, entries in list(self._waiting.items()):
            if entries[0].deadline_s <= now_s:
                gone = [entry for entry in entries if entry.deadline_s <= now_s]
                expired += gone
                self._leave(place, entries[len(gone) :], len(gone))
        return sorted(expired)

    def withdraw(self, unwanted: Callable[[T], bool]) -> list[Entry[T]]:
        """Remove and return those that nobody waits for any more, the earliest first."""
        withdrawn = sorted(entry for entry in self if unwanted(entry.item))
        for entry in withdrawn:
            self.remove(entry)
        return withdrawn

    def _leave(self, place: Hashable, left: list[Entry[T]], gone: int) -> None:
        self._length -= gone
        if left:
            self._waiting[place] = left
        else:
            del self._waiting[place]

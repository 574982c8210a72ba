"""What is under way: the batches that workers run now, and until when that will be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from edge_server.scheduling.schedule import Entry

__all__ = ["Underway"]

T = TypeVar("T")


class _Batch(NamedTuple, Generic[T]):
    entries: Sequence[Entry[T]]
    until_s: float


class Underway(Generic[T]):
    """The batches of ``workers``, one each at most."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._batches: dict[int, _Batch[T]] = {}

    @property
    def idle(self) -> int:
        """How many workers have nothing to do."""
        return self._workers - len(self._batches)

    def begin(self, entries: Sequence[Entry[T]], until_s: float) -> None:
        """Note that a worker runs these, likely until ``until_s``."""
        self._batches[entries[0].order] = _Batch(entries, until_s)

    def end(self, entries: Sequence[Entry[T]]) -> None:
        """Note that their worker is through with them."""
        self._batches.pop(entries[0].order, None)

    def free_s(self, now_s: float) -> float:
        """Return when a worker is free, in the mean over all of them."""
        busy_s = sum(max(batch.until_s - now_s, 0.0) for batch in self._batches.values())
        return now_s + busy_s / self._workers

    def __iter__(self) -> Iterator[Entry[T]]:
        """Yield the samples that run."""
        for batch in self._batches.values():
            yield from batch.entries

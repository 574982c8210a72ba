"""Samples in flight: those that were sent, until they are answered here or there."""

from __future__ import annotations

import math

from device.work import Work

__all__ = ["InFlight"]


class InFlight:
    """Samples whose head is done: some wait for the server, the others for the processor.

    A sample that waits is due for the processor at its ``give_up_s``; one that is forsaken, at
    once. The server may still be first while the processor has it. Mostly there is one or none, and
    all of this is asked for all the time.
    """

    __slots__ = ("_falling", "_forsaken", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[int, Work] = {}
        self._forsaken: dict[int, Work] = {}
        self._falling: dict[int, Work] = {}

    def __len__(self) -> int:
        return len(self._waiting) + len(self._forsaken)

    def __bool__(self) -> bool:
        return bool(self._waiting or self._forsaken)

    @property
    def waiting(self) -> int:
        """How many wait for the server."""
        return len(self._waiting)

    def add(self, work: Work) -> None:
        """Let a sample wait for the server."""
        self._waiting[work.id] = work

    def forsake(self, work: Work, reason: str) -> None:
        """Let a sample wait for the server no longer, or not at all."""
        self._waiting.pop(work.id, None)
        work.counted_on = False
        work.reason = reason
        self._forsaken[work.id] = work

    def forsake_all(self, reason: str) -> None:
        """Let none wait for the server any longer."""
        for work in list(self._waiting.values()):
            self.forsake(work, reason)

    def pop(self, sample: int) -> Work | None:
        """Return and remove the sample of this id if the server's answer to it counts."""
        return self._waiting.pop(sample, None) or self._falling.pop(sample, None)

    def next_up(self) -> Work | None:
        """Return the sample with the earliest deadline of those that wait for the server."""
        if len(self._waiting) < 2:
            return next(iter(self._waiting.values()), None)
        return min(self._waiting.values(), key=lambda w: (w.deadline_s, w.id))

    def remove(self, work: Work) -> bool:
        """Remove a sample; tell whether it was still waiting for the server."""
        self._forsaken.pop(work.id, None)
        self._falling.pop(work.id, None)
        return self._waiting.pop(work.id, None) is not None

    def holds(self, work: Work) -> bool:
        """Tell whether a sample is not answered yet."""
        return any(work.id in of for of in (self._waiting, self._forsaken, self._falling))

    def pop_due(self, now_s: float) -> Work | None:
        """Return the sample that the processor is to take now, earliest deadline first."""
        if not self._waiting and not self._forsaken:
            return None
        due = [work for work in self._waiting.values() if work.give_up_s <= now_s]
        due.extend(self._forsaken.values())
        if not due:
            return None
        work = min(due, key=lambda work: (work.deadline_s, work.id))
        self._waiting.pop(work.id, None)
        self._forsaken.pop(work.id, None)
        self._falling[work.id] = work
        return work

    def pass_expected(self, now_s: float) -> list[Work]:
        """Return, and mark, the samples whose answers have just become overdue.

        Those that fall back are among them: an answer that was not waited for tells of the link
        all the same.
        """
        late = [work for work in self._unheard() if work.expected_s <= now_s]
        for work in late:
            work.overdue = True
        return late

    def forsake_unsent(self, reason: str) -> None:
        """Let those wait no longer that the server has not been sent."""
        for work in [work for work in self._waiting.values() if not work.sent_bytes]:
            self.forsake(work, reason)

    def expect_none(self) -> None:
        """Let none of their answers become overdue: the server that has them was left."""
        for work in (*self._waiting.values(), *self._falling.values()):
            work.expected_s = math.inf

    def quickest_s(self) -> float:
        """Return how long the quickest answers to them take, one after the other."""
        if not self:
            return 0.0
        return sum([work.quickest_s for work in self._doubtful()])

    def latest_start_s(self, *more: Work) -> float:
        """Return when the processor must begin to answer them, and ``more``, each in time."""
        works = [*self._doubtful(), *more] if self else [*more]
        if len(works) == 1:
            return works[0].deadline_s - works[0].quickest_s
        latest_s, taken_s = math.inf, 0.0
        for work in sorted(works, key=lambda work: work.deadline_s):
            taken_s += work.quickest_s
            latest_s = min(latest_s, work.deadline_s - taken_s)
        return latest_s

    def next_expected_s(self) -> float:
        """Return when the next answer becomes overdue."""
        times_s = [work.expected_s for work in self._unheard()]
        return min(times_s) if times_s else math.inf

    def next_due_s(self) -> float:
        """Return when the next of those that wait for the server needs the processor."""
        if not self._waiting:
            return math.inf
        return min([work.give_up_s for work in self._waiting.values()])

    def _unheard(self) -> list[Work]:
        """Return those whose answers may come and are not overdue yet."""
        if not self._waiting and not self._falling:
            return []
        works = (*self._waiting.values(), *self._falling.values())
        return [work for work in works if not work.overdue]

    def _doubtful(self) -> list[Work]:
        """Return those whose answers are not counted on."""
        waiting = [work for work in self._waiting.values() if not work.counted_on]
        return [*waiting, *self._forsaken.values()]

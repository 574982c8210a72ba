"""The contract of a link condition.

A condition decides when bytes that enter it leave it. It is a pure model: time is an argument,
randomness comes from its seed, and the same calls give the same answers. A caller asks in the
order in which the bytes enter, with times that never fall, and starts at 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from math import inf
from typing import Any, ClassVar

from offramp.settings import Settings
from sim.link.course import Course

__all__ = ["PACKET_BYTES", "Chain", "Condition", "ConditionSettings"]

PACKET_BYTES = 1500
"""What enters a link is cut into packets of at most this many bytes, each released on its own."""


class ConditionSettings(Settings):
    """What a link description says about one condition; `kind` names the condition."""

    kind: str


class Condition(ABC):
    """One thing that happens to bytes on a link.

    A subclass states its settings and answers `leave_s`. What enters first leaves first: this
    class never lets bytes leave before those that entered earlier.
    """

    Settings: ClassVar[type[ConditionSettings]]
    delays_packets: ClassVar[bool] = False
    """Whether it delays each packet of a message by its own time, so that their spread counts."""

    _last_s = 0.0

    @abstractmethod
    def __init__(self, course: Course[Any], seed: str) -> None:
        """Take the settings over time, and the seed of whatever is random."""

    @abstractmethod
    def leave_s(self, now_s: float, nbytes: int) -> float:
        """When `nbytes` that enter at `now_s` would leave if nothing were ahead of them."""

    def release_s(self, now_s: float, nbytes: int) -> float:
        """When `nbytes` that enter at `now_s` leave; infinite if they never do."""
        last_s = self._last_s
        if now_s == inf or last_s == inf:
            return inf
        left_s = self.leave_s(now_s, nbytes)
        if left_s < last_s:
            return last_s
        self._last_s = left_s
        return left_s

    def mean_leave_s(self, now_s: float, nbytes: int, spread_s: float = 0.0) -> float:
        """When `nbytes` that enter at `now_s` leave in the mean, if nothing is ahead of them.

        The last of their packets enters then, the first `spread_s` earlier. Asking draws and
        changes nothing; a subclass whose `leave_s` draws says it in another way.
        """
        return self.leave_s(now_s, nbytes)

    def expect_s(self, now_s: float, nbytes: int, spread_s: float = 0.0) -> float:
        """When `nbytes` that enter at `now_s` leave in the mean, behind all that entered before."""
        last_s = self._last_s
        if now_s == inf or last_s == inf:
            return inf
        return max(self.mean_leave_s(now_s, nbytes, spread_s), last_s)

    def release_train(self, times_s: Sequence[float], sizes: Sequence[int]) -> Sequence[float]:
        """When each of some packets leaves, the first of which enters first.

        That is what `release_s` says of one after the other; a subclass may know a quicker way.
        """
        return [self.release_s(*entry) for entry in zip(times_s, sizes, strict=True)]

    def in_order(self, left_s: Iterable[float]) -> list[float]:
        """When packets leave that would leave at these finite times if nothing were ahead."""
        released, last_s = [], self._last_s
        for time_s in left_s:
            if time_s > last_s:
                last_s = time_s
            released.append(last_s)
        self._last_s = last_s
        return released

    def all_in_order(self, left_s: Sequence[float]) -> Sequence[float]:
        """As `in_order`, for times that never fall: only what is ahead can hold them up."""
        if left_s[0] < self._last_s:
            return self.in_order(left_s)
        self._last_s = left_s[-1]
        return left_s

    def forget(self, now_s: float) -> None:
        """Drop whatever is still in the condition at `now_s`, so that nothing waits for it."""
        self._last_s = min(self._last_s, now_s)


class Chain:
    """Conditions through which bytes pass one after the other, in the order given."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self.conditions = tuple(conditions)

    def release_s(self, now_s: float, nbytes: int) -> float:
        """When `nbytes` that enter the first condition at `now_s` leave the last one."""
        for condition in self.conditions:
            now_s = condition.release_s(now_s, nbytes)
        return now_s

    def expect_s(self, now_s: float, nbytes: int) -> float:
        """When `nbytes` that enter the first condition at `now_s` leave the last in the mean."""
        if nbytes <= PACKET_BYTES or not any(one.delays_packets for one in self.conditions):
            for condition in self.conditions:
                now_s = condition.expect_s(now_s, nbytes)
            return now_s
        first_s = now_s
        for condition in self.conditions:
            if now_s == inf:
                return inf
            left_s = condition.expect_s(now_s, nbytes, now_s - first_s)
            first_s = min(condition.expect_s(first_s, PACKET_BYTES), left_s)
            now_s = left_s
        return now_s

    def forget(self, now_s: float) -> None:
        """Drop whatever is still on its way at `now_s`."""
        for condition in self.conditions:
            condition.forget(now_s)

"""A constant one-way delay."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Literal

from pydantic import Field

from sim.link.condition import Condition, ConditionSettings
from sim.link.course import Course

__all__ = ["Delay", "DelaySettings"]


class DelaySettings(ConditionSettings):
    """How long bytes are on their way, one way."""

    kind: Literal["delay"] = "delay"
    seconds: float = Field(ge=0)


class Delay(Condition):
    """Bytes leave the delay of the phase in which they entered after they entered."""

    Settings = DelaySettings

    def __init__(self, course: Course[DelaySettings], seed: str) -> None:
        self._course = course

    def leave_s(self, now_s: float, nbytes: int) -> float:
        """When `nbytes` that enter at `now_s` would leave if nothing were ahead of them."""
        settings = self._course.at(now_s)
        return now_s + settings.seconds if settings else now_s

    def release_train(self, times_s: Sequence[float], sizes: Sequence[int]) -> Sequence[float]:
        """As `Condition.release_train`: one delay holds for all where there is one phase."""
        settings = self._course.only
        if settings is None or times_s[-1] == inf:
            return super().release_train(times_s, sizes)
        delay_s = settings.seconds
        return self.all_in_order([time_s + delay_s for time_s in times_s])

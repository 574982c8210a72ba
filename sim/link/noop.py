"""No condition at all."""

from __future__ import annotations

from typing import Literal

from sim.link.condition import Condition, ConditionSettings
from sim.link.course import Course

__all__ = ["Noop", "NoopSettings"]


class NoopSettings(ConditionSettings):
    """Nothing to say."""

    kind: Literal["noop"] = "noop"


class Noop(Condition):
    """Bytes leave when they enter."""

    Settings = NoopSettings

    def __init__(self, course: Course[NoopSettings], seed: str) -> None:
        pass

    def leave_s(self, now_s: float, nbytes: int) -> float:
        """When `nbytes` that enter at `now_s` would leave if nothing were ahead of them."""
        return now_s

"""The contract of a strategy: a rule that turns conditions into a plan."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner

__all__ = ["Strategy"]


class Strategy(ABC):
    """A rule for one run of one device; what it returns hangs on what it was told alone.

    ``adapts`` tells whether it may be asked again when the conditions change. ``hedges`` tells
    whether the device may compute on while an answer is under way.
    """

    name: ClassVar[str]
    adapts: ClassVar[bool]
    hedges: ClassVar[bool] = False

    @abstractmethod
    def decide(self, planner: Planner, objective: Objective, conditions: Conditions) -> Plan:
        """Return the plan for these conditions."""

    def learn(self, plan: Plan, away_s: float) -> None:  # noqa: B027 - most do not learn
        """Take in how long an answer took from the encoded boundary on, under a plan."""

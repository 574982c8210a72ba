"""The contract of a strategy: a rule that turns conditions into a plan."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from offramp.errors import ConfigError
from partitioner.conditions import Conditions
from partitioner.future import Future
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.reasons import explain

__all__ = ["Clairvoyant", "Strategy"]


class Strategy(ABC):
    """A rule for one run of one device; what it returns hangs on what it was told alone.

    ``rule`` says in words what it takes. ``adapts`` tells whether it may be asked again when the
    conditions change. ``hedges`` tells whether the device may compute on while an answer is under
    way. ``steady`` tells whether its plan stays in force until another promises clearly more of
    what the objective asks for; a published rule that chooses by something else says no. One that
    is ``clairvoyant`` exists in simulation alone.
    """

    name: ClassVar[str]
    rule: ClassVar[str]
    adapts: ClassVar[bool]
    hedges: ClassVar[bool] = False
    steady: ClassVar[bool] = True
    clairvoyant: ClassVar[bool] = False

    @abstractmethod
    def decide(self, planner: Planner, objective: Objective, conditions: Conditions) -> Plan:
        """Return the plan for these conditions; to be asked is nothing that it counts."""

    def decided(self, conditions: Conditions) -> None:  # noqa: B027 - most do not count
        """Take in that a decision for these conditions counts: a frame runs by it."""

    def among(self, planner: Planner) -> Planner:
        """Return a planner for the plans that it chooses from."""
        return planner

    def explain(
        self, planner: Planner, plan: Plan, objective: Objective, conditions: Conditions
    ) -> Plan:
        """Return a plan that it decided on with what it would do now and why it was chosen."""
        return explain(planner, plan, objective, conditions, by=self)

    def learn(self, plan: Plan, away_s: float) -> None:  # noqa: B027 - most do not learn
        """Take in how long an answer took from the encoded boundary on, under a plan."""


class Clairvoyant(Strategy):
    """A rule that is told what comes instead of what is believed.

    One that ``adapts`` is asked for every sample, and told what will happen to that one; another is
    asked once, and told what will happen to all of them.
    """

    clairvoyant = True

    def decide(self, planner: Planner, objective: Objective, conditions: Conditions) -> Plan:
        """Raise `ConfigError`: conditions tell nothing of what comes."""
        raise ConfigError(
            f"strategy {self.name!r} knows what comes, so it exists only in offramp simulate; "
            "choose another one"
        )

    @abstractmethod
    def foresee(self, planner: Planner, objective: Objective, futures: Sequence[Future]) -> Plan:
        """Return the plan for what comes, of which there is something."""

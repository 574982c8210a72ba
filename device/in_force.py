"""The plan in force: when it is decided anew, and whether another one takes its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from device.estimator import LinkEstimate
from device.switching import is_better
from device.tuning import Tuning
from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.strategies import Strategy

__all__ = ["InForce", "PlanChange"]

Explain = Callable[[Plan], Plan]


@dataclass(frozen=True)
class PlanChange:
    """A bare plan taken up at a time, with the conditions that led to it."""

    at_s: float
    plan: Plan
    conditions: Conditions
    explain: Explain = field(repr=False)

    def explained(self) -> Plan:
        """Return the plan with its prediction and why it was chosen, which takes milliseconds."""
        return self.explain(self.plan)


class InForce:
    """The ``plan`` that holds until a strategy decides on a better one; None before the first."""

    def __init__(self, strategy: Strategy, objective: Objective, tuning: Tuning) -> None:
        self._strategy, self._objective, self._tuning = strategy, objective, tuning
        self._changes: list[PlanChange] = []
        self._decided_s = 0.0
        self._decided_reachable = True
        self.plan: Plan | None = None

    def take_changes(self) -> list[PlanChange]:
        """Return the plans that came into force since this was last asked."""
        changes, self._changes = self._changes, []
        return changes

    def drop(self) -> None:
        """Let there be no plan, so that the next one is decided from nothing."""
        self.plan = None

    def is_due(self, now_s: float, reachable: bool) -> bool:
        """Tell whether to decide: at first, when it is time, or when reachability changed."""
        due = now_s - self._decided_s >= self._tuning.replan_s
        turned = reachable != self._decided_reachable
        return self.plan is None or (self._strategy.adapts and (due or turned))

    def decide(
        self, now_s: float, planner: Planner, conditions: Conditions, link: LinkEstimate
    ) -> Plan:
        """Return what the strategy chooses now; that comes into force unless this one is as good.

        That the same plan holds without a server is a change, too.
        """
        chosen = self._strategy.decide(planner, self._objective, conditions)
        self._strategy.decided(conditions)
        self._decided_s = now_s
        turned = self._decided_reachable != conditions.reachable
        self._decided_reachable = conditions.reachable
        if self.plan is not None:
            if chosen.id == self.plan.id and (not turned or conditions.reachable):
                return chosen
            if self._strategy.steady and not turned:
                old, new = (
                    partial(planner.standing, plan, self._objective) for plan in (self.plan, chosen)
                )
                if not is_better(old, new, conditions, link, self._tuning.switch_sigmas):
                    return chosen
        explain = partial(
            self._strategy.explain, planner, objective=self._objective, conditions=conditions
        )
        self.take_up(PlanChange(now_s, chosen, conditions, explain))
        return chosen

    def take_up(self, change: PlanChange) -> None:
        """Let a plan come into force."""
        self.plan = change.plan
        self._changes.append(change)

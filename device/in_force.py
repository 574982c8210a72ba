"""The plan in force: when it is decided anew, and whether another one takes its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from device.switching import is_better
from device.tuning import Tuning
from offramp.errors import PlanError
from partitioner.candidates import Candidates
from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.strategies import Strategy

__all__ = ["InForce", "PlanChange", "Ready", "always_ready"]

_MOST_MISSING = 4  # levels to look for another plan without, before the device goes on alone

Explain = Callable[[Plan], Plan]

Ready = Callable[[Plan], bool]
"""Tells whether a plan's codec level can be sent by at once; if not, begins to load it."""


def always_ready(plan: Plan) -> bool:
    """Tell that a plan can be sent by, of a device that loads all levels before it begins."""
    return True


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
    """The ``plan`` that holds until a strategy decides on a better one; None before the first.

    Until a plan is ready that a strategy decides on, the best that is stands in: of those that send
    otherwise, what the strategy does alone, and that in force. A sample would else be sent
    losslessly, which can take twenty times the bytes. A strategy that decides once does not wait.
    """

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

    def alone(self, planner: Planner, conditions: Conditions) -> Plan:
        """Return what the strategy does alone; if it always sends, the best that sends nothing."""
        alone = replace(conditions, reachable=False)
        with suppress(PlanError):
            chosen = self._strategy.decide(planner, self._objective, alone)
            if chosen.level is None:
                return chosen
        return planner.best(self._objective, alone)

    def decide(self, now_s: float, planner: Planner, conditions: Conditions, ready: Ready) -> Plan:
        """Return what the strategy wants now; if ready and clearly better it comes into force.

        That the same plan holds without a server is a change, too.
        """
        wanted = self._strategy.decide(planner, self._objective, conditions)
        self._strategy.decided(conditions)
        explain: Explain = partial(
            self._strategy.explain, planner, objective=self._objective, conditions=conditions
        )
        chosen = wanted
        if self._strategy.adapts and not _can_send(wanted, ready):
            chosen = self._stand_in(wanted, planner, conditions, ready)
            explain = partial(_explain_stand_in, explain, wanted)
        self._decided_s = now_s
        turned = self._decided_reachable != conditions.reachable
        self._decided_reachable = conditions.reachable
        if self.plan is not None:
            if chosen.id == self.plan.id and (not turned or conditions.reachable):
                return wanted
            if self._strategy.steady and not turned:
                old, new = (
                    partial(planner.standing, plan, self._objective) for plan in (self.plan, chosen)
                )
                if not is_better(old, new, conditions, self._tuning.switch_sigmas):
                    return wanted
        self.take_up(PlanChange(now_s, chosen, conditions, explain))
        return wanted

    def _stand_in(
        self, wanted: Plan, planner: Planner, conditions: Conditions, ready: Ready
    ) -> Plan:
        """Return the best plan that is ready, of those that send by what is often asked for."""
        missing = [(wanted.cut, wanted.level)]
        with suppress(PlanError):
            while len(missing) <= _MOST_MISSING:
                rest = planner.only(
                    f"what can be sent without {missing}", partial(_without, missing)
                )
                plan = self._strategy.decide(rest, self._objective, conditions)
                if _can_send(plan, ready):
                    return plan
                missing.append((plan.cut, plan.level))
        return self.alone(planner, conditions)

    def take_up(self, change: PlanChange) -> None:
        """Let a plan come into force."""
        self.plan = change.plan
        self._changes.append(change)


def _can_send(plan: Plan, ready: Ready) -> bool:
    return plan.level is None or ready(plan)


def _without(missing: Sequence[tuple[int, str | None]], among: Candidates) -> NDArray[np.bool_]:
    pairs = zip(among.cut.tolist(), among.level, strict=True)
    return np.array([pair not in missing for pair in pairs], bool)


def _explain_stand_in(explain: Explain, wanted: Plan, plan: Plan) -> Plan:
    told = explain(plan)
    waits = f"it stands in while what sending by {wanted.level} needs is not loaded"
    return replace(told, reason=f"{told.reason}; {waits}")

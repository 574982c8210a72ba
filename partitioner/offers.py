"""Offers: where no plan meets an objective, which limit would have to give way, and how far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offramp.errors import PlanError
from partitioner.comparison import Breach, Comparison, asked_of
from partitioner.conditions import Conditions
from partitioner.demands import Floats
from partitioner.measures import get_measure, say_amount
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner

__all__ = ["Offer", "check_feasible", "find_offers"]

_EXACT = 1e-9


@dataclass(frozen=True)
class Offer:
    """A plan that keeps all of an objective but one limit, and comes to ``offered`` there.

    ``limit`` is a measure's name, or "accuracy", of which more is better.
    """

    limit: str
    asked: float
    offered: float
    plan: Plan

    def describe(self) -> str:
        """Say in words what would be kept instead."""
        breach = Breach(self.limit, self.asked, self.offered)
        return f"{breach.describe()}: {self.plan.describe()}"


def find_offers(planner: Planner, objective: Objective, conditions: Conditions) -> list[Offer]:
    """Return for each limit the nearest plan that keeps all others, if one does but not this."""
    forecast = planner.forecast(conditions)
    usable = np.ones(len(planner.candidates), bool)
    if not conditions.reachable:
        usable = ~planner.candidates.sends
    beyond: dict[str, tuple[Floats, float]] = {
        name: (get_measure(name).values(forecast, objective.latest_s), most)
        for name, most in asked_of(objective, conditions).items()
    }
    floor = planner.accuracy_floor(objective)
    beyond["accuracy"] = (-planner.accuracy(conditions.hedged), -floor)
    keeps = {name: values <= most + _EXACT for name, (values, most) in beyond.items()}
    offers = []
    for name, (values, most) in beyond.items():
        others = [kept for other, kept in keeps.items() if other != name]
        rows = np.flatnonzero(np.logical_and.reduce([usable, *others]))
        if len(rows) and not keeps[name][rows].any():
            nearest = rows[values[rows] == values[rows].min()]
            row = int(nearest[forecast.cost_s[nearest].argmin()])
            sign = -1 if name == "accuracy" else 1
            offers.append(Offer(name, sign * most, sign * float(values[row]), planner.plan_of(row)))
    return offers


def check_feasible(
    planner: Planner, objective: Objective, conditions: Conditions, whose: str = ""
) -> None:
    """Raise `PlanError` with the nearest offers unless some plan meets the objective.

    ``whose`` names the strategy that has these plans alone.
    """
    ranking = planner.rank(objective, conditions)
    if ranking.feasible[ranking.rows[0]]:
        return
    offers = [offer.describe() for offer in find_offers(planner, objective, conditions)]
    if deadline := _nearest_deadline(planner, objective, conditions):
        offers.insert(0, deadline)
    if not offers:
        plan = planner.plan_of(int(ranking.rows[0]))
        offers.append(_several(Comparison(planner, objective, conditions), plan))
    nearest = "; ".join(offers)
    of = f" of {whose}" if whose else ""
    raise PlanError(f"no plan{of} meets the objective; what could be kept instead is {nearest}")


def _several(comparison: Comparison, plan: Plan) -> str:
    """Say of a plan that breaks several limits what it comes to for each."""
    it = comparison.of(plan)
    assert it is not None
    kept = ", ".join(breach.describe() for breach in it.breaches)
    return f"only several limits at once, {kept}: {plan.describe()}"


def _nearest_deadline(planner: Planner, objective: Objective, conditions: Conditions) -> str:
    """Say which deadline could be kept instead by what keeps all else; nothing if there is none."""
    if objective.last is None:
        return ""
    later = objective.model_copy(update={"deadline_s": None, "minimise": "mean"})
    ranking, forecast = planner.rank(later, conditions), planner.forecast(conditions)
    rows = ranking.rows[ranking.feasible[ranking.rows]]
    if not len(rows):
        return ""
    latest_s = forecast.quantile_s(objective.last.share)[rows]
    asked, row = objective.last.latest_s, int(rows[latest_s.argmin()])
    if latest_s.min() <= asked:
        return ""
    amounts = say_amount("mean", float(latest_s.min())), say_amount("mean", asked)
    return f"a deadline of {amounts[0]} instead of {amounts[1]}: {planner.plan_of(row).describe()}"

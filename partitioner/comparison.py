"""Comparisons: a planner's plans beside each other, for one objective under given conditions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from partitioner.conditions import Conditions
from partitioner.measures import get_measure, is_less, say_amount
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner

__all__ = ["Breach", "Compared", "Comparison", "Tie", "asked_of"]

_EXACT = 1e-9


@dataclass(frozen=True)
class Breach:
    """A limit that a plan breaks: what was ``asked`` and what the plan ``comes_to``.

    ``limit`` is a measure's name, "accuracy", of which more is better, or "deadline": when the last
    sample is answered that should be in time.
    """

    limit: str
    asked: float
    comes_to: float

    def describe(self) -> str:
        """Say in words what is kept instead of what, and by how much if that does not show."""
        if self.limit == "accuracy":
            return f"accuracy {self.comes_to:.4g} instead of {self.asked:.4g}"
        comes_to, asked = self._say(self.comes_to), self._say(self.asked)
        if comes_to == asked:
            asked += f", {self._say(self.comes_to - self.asked)} less"
        return f"{self.limit} {comes_to} instead of {asked}"

    def briefly(self) -> str:
        """Say by how much, as it stands in a table."""
        if self.limit == "accuracy":
            return f"accuracy -{100 * (self.asked - self.comes_to):.2g}%"
        return f"{self.limit} +{self._say(self.comes_to - self.asked)}"

    def _say(self, amount: float) -> str:
        return say_amount("mean" if self.limit == "deadline" else self.limit, amount)


@dataclass(frozen=True)
class Compared:
    """A plan with its prediction and what it breaks, nothing if it meets the objective.

    ``accuracy`` is that which has to keep the floor: with a hedge, whoever answers what is sent.
    ``cost`` is the target with what sending costs besides, where mean latency is minimised.
    """

    plan: Plan
    accuracy: float
    target: float
    cost: float
    meets: bool
    breaches: tuple[Breach, ...]


@dataclass(frozen=True)
class Tie:
    """How many ``others`` meet the objective at no more cost than a plan for which none has less.

    ``leads`` tells whether its mean latency is less than theirs, with what sending costs besides:
    it is ``mean_s``, and ``cost_s`` with that.
    """

    others: int
    leads: bool
    mean_s: float
    cost_s: float


class Comparison:
    """The plans of a planner; raises `PlanError` if none can be had under the conditions."""

    def __init__(self, planner: Planner, objective: Objective, conditions: Conditions) -> None:
        self._planner, self._objective, self._conditions = planner, objective, conditions
        self._forecast = planner.forecast(conditions)
        self._ranking = planner.rank(objective, conditions)
        self._floor = planner.accuracy_floor(objective)
        self._accuracy = planner.accuracy(conditions.hedged)
        self._targets = get_measure(objective.minimise).values(self._forecast, objective.latest_s)

    def of(self, plan: Plan) -> Compared | None:
        """Return how a plan compares; None if it is none of the planner's."""
        row = self._planner.row_of(plan)
        return None if row is None else self._compared(row)

    def others(self, beside: Plan, count: int = 3) -> list[Compared]:
        """Return the best plan of each other cut than that of ``beside``, best first."""
        rows, all_cuts = self._ranking.rows, self._planner.candidates.cut
        cuts = all_cuts[rows]
        _, first = np.unique(cuts, return_index=True)
        chosen = [int(rows[at]) for at in np.sort(first) if cuts[at] != beside.cut][:count]
        return [self._compared(row) for row in chosen]

    def is_first(self, plan: Plan) -> bool:
        """Tell whether no plan comes before it, which need not meet the objective."""
        return self._planner.row_of(plan) == int(self._ranking.rows[0])

    def tie(self, plan: Plan) -> Tie | None:
        """Return with how many others a plan shares the least cost; None if another has less.

        Only plans that meet the objective count.
        """
        row, rows = self._planner.row_of(plan), self._ranking.rows
        meeting = rows[self._ranking.feasible[rows]]
        if row not in meeting:
            return None
        costs = self._ranking.target[meeting]
        if is_less(costs.min(), self._ranking.target[row]):
            return None
        others = meeting[~is_less(self._ranking.target[row], costs) & (meeting != row)]
        costs_s, mean_s = self._forecast.cost_s, float(self._forecast.mean_s[row])
        leads = bool(is_less(costs_s[row], costs_s[others]).all())
        return Tie(len(others), leads, mean_s, float(costs_s[row]))

    def _compared(self, row: int) -> Compared:
        bare, meets = self._planner.plan_of(row), bool(self._ranking.feasible[row])
        prediction = self._planner.predict(bare, self._objective, self._conditions)
        return Compared(
            replace(bare, prediction=prediction),
            float(self._accuracy[row]),
            float(self._targets[row]),
            float(self._ranking.target[row]),
            meets,
            () if meets else tuple(self._breaches(row)),
        )

    def _breaches(self, row: int) -> list[Breach]:
        found, objective = [], self._objective
        if self._accuracy[row] < self._floor - _EXACT:
            found.append(Breach("accuracy", self._floor, float(self._accuracy[row])))
        for name, most in asked_of(objective, self._conditions).items():
            values = get_measure(name).values(self._forecast, objective.latest_s)
            if values[row] > most + _EXACT:
                found.append(Breach(name, most, float(values[row])))
        last = objective.last
        if last is not None and "late" not in [breach.limit for breach in found]:
            # Under doubts the share that is late is a mean over what may happen, quantiles decide.
            last_s = self._forecast.quantile_s(last.share)
            if last_s[row] > last.latest_s + _EXACT:
                found.append(Breach("deadline", last.latest_s, float(last_s[row])))
        return found


def asked_of(objective: Objective, conditions: Conditions) -> dict[str, float]:
    """Return the most that measures may come to, by name; samples that come ask for a period."""
    kept = objective.kept
    if conditions.rate_hz:
        kept["period"] = min(kept.get("period", np.inf), conditions.interval_s)
    return kept

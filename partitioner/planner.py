"""The planner: the best candidate for given conditions, exactly.

What a candidate costs is array arithmetic (`partitioner.forecast`). For least mean latency a
decision takes microseconds: one of a shortlist is the best, or where that is late for too many
samples, one of a longer one (`partitioner.shortlist`). If none is accurate enough, or there are
other limits, all candidates are ranked; for the least late share, by bounds
(`partitioner.least_late`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offramp.bundle import Bundle
from offramp.errors import PlanError
from partitioner.candidates import CLOSED, Candidates
from partitioner.conditions import Conditions
from partitioner.costs import Costs, cost_candidates
from partitioner.demands import Floats
from partitioner.forecast import Forecast
from partitioner.least_late import least_late
from partitioner.measures import get_measure, is_less
from partitioner.objective import Objective
from partitioner.plan import Plan, Prediction
from partitioner.profile import Profile
from partitioner.shortlist import Course, Shortlist, beyond

__all__ = ["Planner", "Ranking", "Standing"]

_EXACT = 1e-12


@dataclass(frozen=True)
class Ranking:
    """Candidates in order of preference.

    ``target`` (C,) is what is minimised, ``feasible`` (C,) tells which meet the objective.
    """

    rows: NDArray[np.int64]
    target: Floats
    feasible: NDArray[np.bool_]


class _Compared(NamedTuple):
    """What candidates are compared by before the target, each (C,), the first ``keys`` first."""

    keys: Sequence[NDArray[Any]]
    usable: NDArray[np.bool_]
    feasible: NDArray[np.bool_]

    def first(self) -> NDArray[np.int64]:
        """Return the rows that no other comes before."""
        rows = self.usable.nonzero()[0]
        for key in self.keys:
            some = key[rows]
            rows = rows[some == some.min()]
        return rows


@dataclass(frozen=True)
class Standing:
    """How a plan does under conditions: what is minimised, and whether it meets the objective."""

    target: float
    meets: bool


_Deed = tuple[int, str | None, tuple[float, ...]]


class Planner:
    """Chooses among candidates with the two machines' profiles; its answers hang on nothing else.

    What follows from an objective alone is worked out once and kept.
    """

    def __init__(
        self, bundle: Bundle, candidates: Candidates, device: Profile, server: Profile
    ) -> None:
        device.check(bundle)
        server.check(bundle)
        device.check_heads(bundle)
        self.bundle = bundle
        self.device = device
        self.server = server
        self._take(cost_candidates(bundle, candidates, device, server))

    def _take(self, costs: Costs) -> None:
        self._costs = costs
        self.candidates = costs.candidates
        self._views: dict[str, Planner] = {}
        self._plans: dict[int, Plan] = {}
        self._rows: dict[_Deed, int] = {}
        self._shortlist = lru_cache(maxsize=32)(self._make_shortlist)
        self._course = lru_cache(maxsize=256)(self._find_course)
        self._accurate = lru_cache(maxsize=8)(self._find_accurate)

    def only(self, name: str, allowed: Callable[[Candidates], NDArray[np.bool_]]) -> Planner:
        """Return a planner for the candidates that are ``allowed``; ``name`` says which they are.

        Raises `PlanError` if there are none.
        """
        if name not in self._views:
            rows = np.flatnonzero(allowed(self.candidates))
            if not len(rows):
                raise PlanError(f"no plan is left: the bundle has none that {name} allows")
            self._views[name] = self._of(rows)
        return self._views[name]

    def _of(self, rows: NDArray[np.int64]) -> Planner:
        view = Planner.__new__(Planner)
        view.bundle, view.device, view.server = self.bundle, self.device, self.server
        view._take(self._costs.select(rows))
        return view

    def _find_accurate(self, floor: float, hedged: bool) -> Planner:
        """Return a planner for what is accurate enough, of which one is the first if any is."""
        rows = np.flatnonzero(self.accuracy(hedged) >= floor - _EXACT)
        return self._of(rows) if 0 < len(rows) < len(self.candidates) else self

    def best(self, objective: Objective, conditions: Conditions) -> Plan:
        """Return the best plan, bare.

        If no plan meets the objective, the accuracy floor goes first: of the plans that keep it,
        the one nearest to the limits is returned. If none keeps it, the most accurate of those that
        keep the limits is.
        """
        if objective.is_quick:
            row = self._quick(objective, conditions)
            if row is not None:
                return self.plan_of(row)
        if not conditions.reachable and self._costs.sends.any():
            alone = self.only("what sends nothing", lambda _: ~self._costs.sends)
            return alone._first(objective, conditions)
        return self._first(objective, conditions)

    def _quick(self, objective: Objective, conditions: Conditions) -> int | None:
        """Return the best row of those that are accurate enough; None if none is."""
        kind = conditions.reachable, conditions.hedged
        row = self._shortlist(objective, *kind, timely=False).cheapest(conditions)
        if row is None:
            row = self._shortlist(objective, *kind, timely=True).best(conditions)
        return row

    def standing(self, plan: Plan, objective: Objective, conditions: Conditions) -> Standing | None:
        """Return how a plan does, in a few microseconds for mean latency; None if it is unknown."""
        row = self.row_of(plan)
        if row is None:
            return None
        accurate = self.accuracy(conditions.hedged)[row] >= self.accuracy_floor(objective) - _EXACT
        possible = bool(accurate) and (conditions.reachable or plan.level is None)
        if objective.is_quick:
            course = self._course(row, objective)
            cost_s = float(course.mean.cost_s(conditions))
            return Standing(cost_s, possible and course.excess(conditions) == 0)
        forecast = Forecast(self._costs.select(np.array([row])), conditions)
        target = self._target(forecast, objective)
        excess = _excess(objective, forecast) + _overdue(objective, forecast)
        return Standing(float(target[0]), possible and excess[0] == 0)

    def _find_course(self, row: int, objective: Objective) -> Course:
        return Course.of(self._costs.select(np.array([row])), objective.tails).select(0)

    def forecast(self, conditions: Conditions) -> Forecast:
        """Return what every candidate would do under conditions."""
        return Forecast(self._costs, conditions)

    def rank(self, objective: Objective, conditions: Conditions) -> Ranking:
        """Order the candidates: those that meet the objective first, best first."""
        forecast = self.forecast(conditions)
        found, target = self._compare(objective, forecast), self._target(forecast, objective)
        rows = found.first()
        ties = _least(rows, target)
        even = target.copy()
        even[ties] = target[ties].min()
        # Of equals by the target the best in the mean is preferred.
        order = np.lexsort((forecast.cost_s, even, *found.keys[::-1]))
        return Ranking(order[found.usable[order]], target, found.feasible)

    def _first(self, objective: Objective, conditions: Conditions) -> Plan:
        """Return the first of `rank`; the others are not put in order."""
        among = self._accurate(self.accuracy_floor(objective), conditions.hedged)
        forecast = among.forecast(conditions)
        found = among._compare(objective, forecast)
        rows = found.first()
        if len(rows) > 1 and objective.minimise == "late":
            rows = least_late(forecast, objective.latest_s, rows)
        elif len(rows) > 1:
            rows = _least(rows, among._target(forecast, objective))
        return among.plan_of(int(rows[forecast.cost_s[rows].argmin()]))

    def _compare(self, objective: Objective, forecast: Forecast) -> _Compared:
        reachable, hedged = forecast.conditions.reachable, forecast.conditions.hedged
        usable = np.ones(len(self.candidates), bool) if reachable else ~self._costs.sends
        if not usable.any():
            raise PlanError("no plan is left: the strategy allows none under these conditions")
        floor, accuracy = self.accuracy_floor(objective), self.accuracy(hedged)
        accurate = accuracy >= floor - _EXACT
        shortfall = np.where(accurate, 0.0, floor - accuracy)
        excess, overdue = _excess(objective, forecast), _overdue(objective, forecast)
        keeps = (excess == 0) & (overdue == 0)
        if objective.minimise != "late":  # else the nearest to the deadline is the least late
            excess = excess + overdue
        # Preference: accurate enough; within the limits; the most accurate of those that are not
        # accurate enough; the least beyond the limits; then the best by the target.
        return _Compared((~accurate, ~keeps, shortfall, excess), usable, accurate & keeps)

    def predict(
        self, plan: Plan, objective: Objective, conditions: Conditions
    ) -> Prediction | None:
        """Return what a plan would do now; None if it is none of the candidates."""
        row = self.row_of(plan)
        if row is None:
            return None
        costs = self._costs.select(np.array([row]))
        forecast, c = Forecast(costs, conditions), costs.candidates
        active = self.bundle.manifest.exits_before(plan.cut)
        late = objective.deadline_s and float(forecast.late_share(objective.deadline_s)[0])
        return Prediction(
            mean_s=float(forecast.mean_s[0]),
            p95_s=float(forecast.quantile_s(0.95)[0]),
            miss_share=late or 0.0,
            accuracy=float(c.accuracy[0]),
            exit_shares=tuple(float(s) for s in c.exit_shares[0, :active]),
            sent_share=float(c.sent_share[0]),
            bytes_mean=float(c.bytes_mean[0]),
            target=float(get_measure(objective.minimise).values(forecast, objective.latest_s)[0]),
        )

    def accuracy(self, hedged: bool) -> Floats:
        """Return the candidates' accuracy, (C,); with a hedge, whoever answers what is sent."""
        return self.candidates.hedged_accuracy if hedged else self.candidates.accuracy

    def accuracy_floor(self, objective: Objective) -> float:
        """Return the least accuracy on the calibration samples that the objective allows."""
        floors = [0.0]
        if objective.min_accuracy is not None:
            floors.append(objective.min_accuracy)
        if objective.max_accuracy_drop is not None:
            floors.append(self._whole_accuracy() - objective.max_accuracy_drop)
        return max(floors)

    def _whole_accuracy(self) -> float:
        """Return the accuracy of the model as it was compiled, whatever the device's heads lose."""
        if quantised := self.bundle.manifest.quantised:
            return quantised.accuracies[-1].exact
        return self.candidates.whole_accuracy

    def _target(self, forecast: Forecast, objective: Objective) -> Floats:
        """Return what is minimised: for mean latency, with what others lose by it."""
        if objective.minimise == "mean":
            return forecast.cost_s
        return get_measure(objective.minimise).values(forecast, objective.latest_s)

    def _make_shortlist(
        self, objective: Objective, reachable: bool, hedged: bool, timely: bool
    ) -> Shortlist:
        """Return the accurate candidates of which one is the best, if need be in time."""
        usable = self.accuracy(hedged) >= self.accuracy_floor(objective) - _EXACT
        if not reachable:
            usable &= ~self._costs.sends
        rows = np.flatnonzero(usable)
        return Shortlist(rows, self._costs.select(rows), objective.tails, timely=timely)

    def plan_of(self, row: int) -> Plan:
        """Return a candidate as a bare plan."""
        if row not in self._plans:
            c, cut = self.candidates, int(self.candidates.cut[row])
            active = self.bundle.manifest.exits_before(cut)
            thresholds = tuple(float(t) for t in c.thresholds[row, :active])
            self._plans[row] = Plan(cut, c.level[row], c.policy, thresholds)
            self._rows[_deed(self._plans[row])] = row
        return self._plans[row]

    def sent_bytes(self, plan: Plan) -> int:
        """Return the mean size of what a candidate sends; 0 if it sends nothing, or is none."""
        row = self.row_of(plan)
        share = 0.0 if row is None else float(self.candidates.sent_share[row])
        return round(float(self.candidates.bytes_mean[row]) / share) if share else 0

    def row_of(self, plan: Plan) -> int | None:
        """Return which candidate a plan is, by its row; None if it is none of them."""
        deed = _deed(plan)
        if deed not in self._rows:
            c = self.candidates
            padded = np.full(c.thresholds.shape[1], CLOSED)
            padded[: len(plan.thresholds)] = plan.thresholds
            same = (c.cut == plan.cut) & (c.thresholds == padded).all(axis=1)
            rows = [int(row) for row in np.flatnonzero(same) if c.level[row] == plan.level]
            if not rows:
                return None
            self._rows[deed] = rows[0]
        return self._rows[deed]


def _least(rows: NDArray[np.int64], values: NDArray[Any]) -> NDArray[np.int64]:
    """Return those of the rows that have the least value, up to rounding."""
    some = values[rows]
    least: NDArray[np.int64] = rows[~is_less(some.min(), some)]
    return least


def _deed(plan: Plan) -> _Deed:
    """Return what a plan does; its id does not tell an exit that is watched from a closed one."""
    return plan.cut, plan.level, plan.thresholds


def _excess(objective: Objective, forecast: Forecast) -> Floats:
    """Return by how much candidates break the limits, (C,): the sum of shares; 0 if they do not.

    One that is slower than samples come breaks a limit, too.
    """
    total = np.zeros(len(forecast.costs))
    limits = objective.limits.given()
    if forecast.conditions.rate_hz:
        limits["period"] = min(limits.get("period", math.inf), forecast.conditions.interval_s)
    broken = [(get_measure(name).values(forecast, math.inf), most) for name, most in limits.items()]
    for values, most in broken:
        total += beyond(values, most)
    return total


def _overdue(objective: Objective, forecast: Forecast) -> Floats:
    """Return by how much the last sample is late that should not be, (C,), as `_excess` counts."""
    if objective.last is None:
        return np.zeros(len(forecast.costs))
    return np.asarray(beyond(forecast.quantile_s(objective.last.share), objective.last.latest_s))

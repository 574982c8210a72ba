"""A reason says nothing that is not so, whatever the strategy, the objective and the link."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.quantities import say_bandwidth, say_time
from partitioner.conditions import Conditions
from partitioner.measures import get_measure, say_amount
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.reasons import explain
from partitioner.strategies import STRATEGIES, get

LIVE = [name for name, strategy in STRATEGIES.items() if not strategy.clairvoyant]
AMOUNT = r"([0-9.,]+(?: m?s| bytes|%))(?: \(([0-9.,]+ m?s) with what sending costs besides\))?"


class Told:
    """What a reason says and, found the slow way, what is so."""

    def __init__(
        self, planner: Planner, plan: Plan, objective: Objective, now: Conditions, name: str
    ) -> None:
        view = get(name).among(planner)
        self.plans = [view.plan_of(row) for row in range(len(view.candidates))]
        self.row = next(at for at, each in enumerate(self.plans) if each == bare(plan))
        forecast, floor = view.forecast(now), view.accuracy_floor(objective)
        self.values = get_measure(objective.minimise).values(forecast, objective.latest_s)
        self.costs = forecast.cost_s if objective.minimise == "mean" else self.values
        accuracy = np.array(view.accuracy(now.hedged))
        self.means_s = forecast.cost_s
        self.amounts = {"accuracy": (accuracy, floor)}
        kept = objective.kept
        if now.rate_hz:
            kept["period"] = min(kept.get("period", np.inf), 1 / now.rate_hz)
        for limit, most in kept.items():
            self.amounts[limit] = (get_measure(limit).values(forecast, objective.latest_s), most)
        doubted = now.s_per_bit_sigma or now.rtt_sigma_s
        if objective.deadline_s is not None and doubted:  # then quantiles decide, not shares
            del self.amounts["late"]
            last_s = forecast.quantile_s(1 - (objective.most_late or 0.0))
            self.amounts["deadline"] = (last_s, objective.deadline_s)
        usable = np.array([now.reachable or each.level is None for each in self.plans])
        within = [accuracy >= floor - 1e-9]
        within += [v <= most + 1e-9 for n, (v, most) in self.amounts.items() if n != "accuracy"]
        self.meets = np.logical_and.reduce([usable, *within])

    def tied(self) -> list[int]:
        """Return the plans that come to the least of those that meet the objective."""
        if not self.meets.any():
            return []
        least = self.costs[self.meets].min()
        return np.flatnonzero(self.meets & (self.costs <= least * (1 + 1e-9) + 1e-9)).tolist()


def say(limit: str, amount: float) -> str:
    if limit == "accuracy":
        return f"{amount:.4g}"
    return say_amount("mean" if limit == "deadline" else limit, amount)


def bare(plan: Plan) -> Plan:
    return replace(plan, prediction=None, reason="")


OBJECTIVES = st.builds(
    lambda drop, deadline_s, misses, minimise, limits: Objective(
        minimise=minimise,
        max_accuracy_drop=drop,
        deadline_s=deadline_s,
        max_miss_share=misses,
        limits=limits,
    ),
    st.sampled_from([0.0, 0.05, 0.3, None]),
    st.sampled_from([0.02, 0.1, 1.0]),
    st.sampled_from([0.0, 0.1, 0.3]),
    st.sampled_from(["mean", "mean", "p95", "p50", "late", "server", "uplink", "period", "memory"]),
    st.sampled_from([{}, {"p90_s": 0.03}, {"uplink_bytes": 2000}, {"mean_s": 0.02}]),
)


@pytest.mark.parametrize("name", LIVE)
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    objective=OBJECTIVES,
    hedged=st.booleans(),
    reachable=st.booleans(),
    price_s=st.sampled_from([0.0, 0.02]),
    rate_hz=st.sampled_from([0.0, 20.0, 100.0]),
    doubt_s=st.sampled_from([0.0, 0.005]),
)
def test_every_number_of_a_reason_is_that_of_the_ranking(
    name: str,
    world: Callable[..., Any],
    weather: Callable[..., Conditions],
    seed: int,
    objective: Objective,
    hedged: bool,
    reachable: bool,
    price_s: float,
    rate_hz: float,
    doubt_s: float,
) -> None:
    it = world(seed % 8, depth=3)
    now = replace(
        weather(seed, reachable),
        hedged=hedged,
        price_s=price_s,
        rate_hz=rate_hz,
        rtt_sigma_s=doubt_s,
        vain_share=doubt_s * 20,
    )
    strategy = get(name)
    plan = strategy.explain(it.planner, strategy.decide(it.planner, objective, now), objective, now)
    reason = plan.reason
    if plan.level is not None and not reachable:
        assert reason == f"{name} takes {strategy.rule}, and no server answers"
        return
    told = Told(it.planner, plan, objective, now, name)
    link = f"{say_bandwidth(now.bandwidth_bps)} and {say_time(now.rtt_s)}"
    assert f"with {link if reachable else 'no reachable server'}" in reason
    assert (f", {rate_hz:g} samples a second," in reason) is bool(rate_hz)
    assert ("of wait for the server" in reason) is (reachable and now.queue_s >= 0.0005)
    for machine, stretch in (("server", now.server_stretch), ("device", now.device_stretch)):
        told_of = abs(stretch - 1) >= 0.1 and (reachable or machine == "device")
        assert (f"a {machine} that takes" in reason) is told_of

    minimised = objective.minimise
    amount, cost = re.findall(rf", {minimised} {AMOUNT}", reason)[0]
    assert amount == say_amount(minimised, told.values[told.row])
    assert (cost or amount) == say_amount(minimised, told.costs[told.row])

    tied = told.tied()
    first = "is the least" in reason or "for the least" in reason
    assert told.row in tied or not first
    every = len(told.plans) == len(it.planner.candidates)
    if "is the least" in reason:
        assert tied == [told.row]
        assert (f"is the least of all of {name}" in reason) is not every
    for count in re.findall(r"ties with (another|\d+) (?:other plans|plan)", reason):
        assert (1 if count == "another" else int(count)) == len(tied) - 1 > 0
        assert (f" of {name} for the least; " in reason) is not every
        means_s = told.means_s[tied]
        leads = bool(np.sum(means_s <= told.means_s[told.row] * (1 + 1e-9) + 1e-9) == 1)
        assert ("of these it has the least mean latency" in reason) is leads
        assert ("nothing else tells them apart" in reason) is not leads
    best = re.findall(
        rf"; the best at another cut: cut (\d+), .* at {AMOUNT}(, hardly more)?$", reason
    )
    elsewhere = [at for at, p in enumerate(told.plans) if p.cut != plan.cut and told.meets[at]]
    for cut, amount, cost, more in best:
        assert int(cut) != plan.cut
        least = min(elsewhere, key=lambda at: told.costs[at])
        assert (cost or amount) == say_amount(minimised, told.costs[least])
        alike = (cost or amount) == say_amount(minimised, told.costs[told.row])
        assert bool(more) is bool(alike and told.costs[least] - told.costs[told.row] > 1e-9)
    assert bool(best) is (first and bool(elsewhere))

    assert ("no plan" in reason) <= (not told.meets.any())
    assert ("no other plan" in reason) <= (len(told.plans) == 1)
    for limit, comes_to, asked in re.findall(r"; (\w+) ([^;]+?) instead of ([^;]+)", reason):
        if limit == "late" and doubt_s:
            continue
        values, most = told.amounts[limit]
        assert comes_to == say(limit, values[told.row])
        assert asked.partition(", ")[0] == say(limit, most)
        assert bool(values[told.row] < most) is (limit == "accuracy")
    assert ("instead of" in reason) is (not told.meets[told.row])


def test_what_is_lesser_by_millionths_is_hardly_more(world: Callable[..., Any]) -> None:
    it, objective = world(3), Objective(max_accuracy_drop=0.3)

    def best(bandwidth_bps: float) -> Plan:
        return it.planner.best(objective, Conditions(bandwidth_bps, 0.01))

    slow, quick = 1e5, 1e9
    while quick > slow * (1 + 1e-5):  # to where two cuts change places
        between = (slow * quick) ** 0.5
        if best(between).cut == best(slow).cut:
            slow = between
        else:
            quick = between
    plan = explain(it.planner, best(slow), objective, Conditions(slow, 0.01))
    assert re.search(r"; the best at another cut: .* at [0-9.]+ ms, hardly more$", plan.reason)


def test_of_all_plans_only_the_least_is_said_to_be_it(
    world: Callable[..., Any], weather: Callable[..., Conditions]
) -> None:
    it, objective, said = world(3), Objective(minimise="p95", max_accuracy_drop=0.3), []
    for row in range(len(it.candidates)):
        plan = it.planner.plan_of(row)
        plan = explain(it.planner, plan, objective, weather(3), by=get("offramp"))
        told = Told(it.planner, plan, objective, weather(3), "offramp")
        said.append(row in told.tied())
        alone = told.tied() == [row]
        assert ("is the least" in plan.reason) is alone
        assert ("ties with" in plan.reason) is (said[-1] and not alone)
    assert 0 < sum(said) < len(said)

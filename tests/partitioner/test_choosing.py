"""Quick decisions against slow ones, limits, and what is offered where they cannot be kept."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from offramp.errors import PlanError
from offramp.quantities import say_time
from partitioner.conditions import Conditions
from partitioner.forecast import Forecast
from partitioner.measures import get_measure
from partitioner.objective import Objective
from partitioner.offers import check_feasible, find_offers
from partitioner.pareto import undercut_by_none
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.reasons import explain

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=200, deadline=None)
@given(
    seed=SEEDS,
    drop=st.sampled_from([0.0, 0.05, 0.3, None]),
    deadline_s=st.sampled_from([None, 0.005, 0.03, 0.1]),
    misses=st.sampled_from([0.0, 0.1, 0.3]),
    p90_s=st.sampled_from([None, 0.01, 0.05]),
    reachable=st.booleans(),
    hedged=st.booleans(),
    price_s=st.sampled_from([0.0, 0.01, 1.0]),
    vain_share=st.sampled_from([0.0, 0.05, 0.2]),
    rate_hz=st.sampled_from([0.0, 5.0, 50.0, 500.0]),
    unevenness=st.sampled_from([0.0, 0.3, 1.0, 5.0]),
    doubt=st.sampled_from([0.0, 0.3, 3.0]),
)
def test_a_quick_decision_is_the_first_of_the_ranking(
    world: Callable[..., Any],
    weather: Callable[..., Conditions],
    seed: int,
    drop: float | None,
    deadline_s: float | None,
    misses: float,
    p90_s: float | None,
    reachable: bool,
    hedged: bool,
    price_s: float,
    vain_share: float,
    rate_hz: float,
    unevenness: float,
    doubt: float,
) -> None:
    it, link = world(seed), weather(seed, reachable)
    now = replace(
        link,
        hedged=hedged,
        price_s=price_s,
        vain_share=vain_share,
        tail_vain_share=2 * vain_share,
        rate_hz=rate_hz,
        unevenness=unevenness,
        s_per_bit_sigma=doubt / link.bandwidth_bps,
        rtt_sigma_s=doubt * link.rtt_s,
    )
    objective = Objective(
        max_accuracy_drop=drop,
        deadline_s=deadline_s,
        max_miss_share=misses,
        limits={"p90_s": p90_s},
    )
    ranking = it.planner.rank(objective, now)
    best, first = it.planner.best(objective, now), int(ranking.rows[0])
    row = next(r for r in range(len(it.candidates)) if it.planner.plan_of(r).id == best.id)
    assert ranking.target[row] == pytest.approx(ranking.target[first], rel=1e-12)
    assert ranking.feasible[row] == ranking.feasible[first]
    excess = _excess(it.planner.forecast(now), objective)
    assert excess[row] == pytest.approx(excess[first], rel=1e-9, abs=1e-9)
    accuracy = it.planner.accuracy(hedged)
    floor = it.planner.accuracy_floor(objective)
    assert (accuracy[row] < floor) == (accuracy[first] < floor)


def test_a_hedged_plan_is_accurate_enough_whoever_answers(
    world: Callable[..., Any], weather: Callable[..., Conditions]
) -> None:
    binding = 0
    for seed in range(40):
        it, now = world(seed), replace(weather(seed, True), hedged=True)
        here = it.candidates.accuracy - np.random.default_rng(seed).uniform(
            0, 0.2, len(it.candidates)
        )
        candidates = replace(it.candidates, hedged_accuracy=here)
        planner = Planner(it.planner.bundle, candidates, it.planner.device, it.planner.server)
        objective = Objective(max_accuracy_drop=None, min_accuracy=float(np.median(here)))
        for goal in (objective, objective.model_copy(update={"minimise": "p95"})):
            row = planner.row_of(planner.best(goal, now))
            assert here[row] >= goal.min_accuracy
            alone = planner.row_of(planner.best(goal, replace(now, hedged=False)))
            binding += here[alone] < goal.min_accuracy
    assert binding > 10


def told(planner: Planner, objective: Objective, now: Conditions) -> Plan:
    """The best plan, with what it would do and why it was taken."""
    return explain(planner, planner.best(objective, now), objective, now)


def _excess(forecast: Forecast, objective: Objective) -> Any:
    """Return by how much candidates are beyond what they may come to, as shares of that."""
    limits = [(forecast.quantile_s(tail.share), tail.latest_s) for tail in objective.tails]
    if forecast.conditions.rate_hz:
        limits.append((forecast.period_s, forecast.conditions.interval_s))
    return sum(
        (np.where(values > most, values - most, 0) / max(most, 1e-3) for values, most in limits),
        start=np.zeros(len(forecast.costs)),
    )


@given(
    points=arrays(
        np.float64,
        st.tuples(st.integers(1, 30), st.integers(1, 4)),
        elements=st.integers(0, 5).map(float),
    )
)
def test_a_point_goes_if_and_only_if_another_undercuts_it(points: Any) -> None:
    kept = undercut_by_none(points)
    for at, point in enumerate(points):
        rivals = (points[kept] <= point).all(axis=1)
        assert rivals.any()
        if at in kept:
            assert rivals.sum() == 1


@pytest.mark.parametrize("name", ["p50", "p99", "server", "uplink", "period", "memory", "late"])
def test_any_measure_can_be_minimised(
    name: str, world: Callable[..., Any], weather: Callable[..., Conditions]
) -> None:
    chosen = 0
    for seed in range(5):
        it, now = world(seed), weather(seed)
        accurate = it.planner.accuracy(False) >= it.planner.accuracy_floor(Objective()) - 1e-12
        last_s = it.planner.forecast(now).quantile_s(0.99)[accurate]
        deadline_s = float(np.median(last_s))
        objective = Objective(minimise=name, deadline_s=deadline_s, max_miss_share=0.01)
        values = get_measure(name).values(it.planner.forecast(now), deadline_s)
        kept = values[accurate][last_s <= deadline_s]
        plan = told(it.planner, objective, now)
        assert plan.prediction is not None
        assert plan.prediction.target == pytest.approx(kept.min())
        assert f"{name} " in plan.reason
        chosen += bool(kept.max() > kept.min() or name in ("memory", "late"))
    assert chosen > 2


def test_a_limit_is_kept_at_the_price_of_the_target(world: Callable[..., Any]) -> None:
    it, now = world(5, depth=4), Conditions(40e6, 0.001)
    free = told(it.planner, Objective(max_accuracy_drop=0.2), now)
    assert free.prediction is not None
    assert free.level is not None
    most = free.prediction.bytes_mean / 2
    objective = Objective(max_accuracy_drop=0.2, limits={"uplink_bytes": most})
    held = told(it.planner, objective, now)
    assert held.prediction is not None
    assert held.prediction.bytes_mean < most < free.prediction.bytes_mean
    assert held.prediction.mean_s > free.prediction.mean_s


def test_where_no_plan_fits_every_limit_alone_is_offered(world: Callable[..., Any]) -> None:
    it, now = world(3), Conditions(1e6, 0.01)
    c = it.candidates
    floor = float(np.sort(c.accuracy)[-3])
    objective = Objective(max_accuracy_drop=None, min_accuracy=floor, limits={"mean_s": 1e-3})
    offers = {offer.limit: offer for offer in find_offers(it.planner, objective, now)}
    mean_s = it.planner.forecast(now).mean_s
    accurate = c.accuracy >= floor - 1e-9
    assert not (mean_s <= 1e-3).any()
    assert set(offers) == {"mean"}  # no loss of accuracy makes any plan so fast
    assert offers["mean"].offered == pytest.approx(mean_s[accurate].min())
    with pytest.raises(PlanError, match=r"could be kept instead is mean .* ms instead of 1 ms"):
        check_feasible(it.planner, objective, now)
    within = Objective(
        max_accuracy_drop=None, min_accuracy=floor, limits={"mean_s": offers["mean"].offered}
    )
    check_feasible(it.planner, within, now)
    assert find_offers(it.planner, within, now) == []


def test_accuracy_is_offered_too(world: Callable[..., Any]) -> None:
    it, now = world(3), Conditions(1e6, 0.01)
    fastest = float(it.planner.forecast(now).mean_s.min())
    objective = Objective(max_accuracy_drop=None, min_accuracy=1.0, limits={"mean_s": fastest})
    offers = {offer.limit: offer for offer in find_offers(it.planner, objective, now)}
    assert offers["accuracy"].asked == 1.0
    assert offers["accuracy"].offered == pytest.approx(
        it.candidates.accuracy[it.planner.forecast(now).mean_s <= fastest].max()
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_plan_meets_what_the_ranking_says_it_does(
    seed: int, world: Callable[..., Any], weather: Callable[..., Conditions]
) -> None:
    it, now = world(seed), weather(seed)
    p95_s = float(np.median(it.planner.forecast(now).quantile_s(0.95)))
    for limits in ({"uplink_bytes": 3000, "p95_s": p95_s}, {"p95_s": p95_s}):
        objective = Objective(max_accuracy_drop=0.1, limits=limits)
        ranking = it.planner.rank(objective, now)
        assert 0 < ranking.feasible.sum() < len(it.candidates)
        for row in range(0, len(it.candidates), 7):
            plan = it.planner.plan_of(row)
            standing = it.planner.standing(plan, objective, now)
            assert standing.meets == ranking.feasible[row]
            assert standing.target == pytest.approx(ranking.target[row], rel=1e-12)
            there = it.planner.standing(plan, objective, replace(now, reachable=False))
            assert there.meets == (plan.level is None and ranking.feasible[row])
        unheard = Plan(0, "unheard", "confidence", ())
        assert it.planner.standing(unheard, objective, now) is None


def test_limits_that_only_fall_together_are_said_to(world: Callable[..., Any]) -> None:
    it, now = world(3), Conditions(1e6, 0.01)
    objective = Objective(max_accuracy_drop=None, limits={"mean_s": 0.0, "p95_s": 0.0})
    assert find_offers(it.planner, objective, now) == []
    plan = it.planner.best(objective, now)
    row, forecast = it.planner.row_of(plan), it.planner.forecast(now)
    mean, p95 = say_time(forecast.mean_s[row]), say_time(forecast.quantile_s(0.95)[row])
    with pytest.raises(PlanError) as caught:
        check_feasible(it.planner, objective, now)
    kept = f"mean {mean} instead of 0 ms, p95 {p95} instead of 0 ms"
    assert str(caught.value).endswith(f" only several limits at once, {kept}: {plan.describe()}")


def test_a_planner_for_some_candidates_is_made_once(world: Callable[..., Any]) -> None:
    it = world(4)
    asked: list[int] = []

    def allowed(candidates: Any) -> Any:
        asked.append(1)
        return candidates.cut == 0

    first = it.planner.only("input", allowed)
    assert it.planner.only("input", allowed) is first
    assert len(asked) == 1
    assert set(first.candidates.cut) == {0}
    with pytest.raises(PlanError, match="none that nothing allows"):
        it.planner.only("nothing", lambda c: c.cut < 0)


def test_a_plan_keeps_up_with_the_samples_that_come_if_any_does(
    world: Callable[..., Any], weather: Callable[..., Conditions]
) -> None:
    turned = 0
    for seed in range(40):
        it, now = world(seed), weather(seed)
        usual = it.planner.best(Objective(), now)
        period_s = it.planner.forecast(now).period_s
        rows = {it.planner.plan_of(row).id: row for row in range(len(it.candidates))}
        hurry = replace(now, rate_hz=1.001 / period_s[rows[usual.id]])
        chosen = it.planner.best(Objective(), hurry)
        floor = it.planner.accuracy_floor(Objective()) - 1e-12
        accurate = it.candidates.accuracy >= floor
        if (period_s[accurate] <= hurry.interval_s).any():
            assert period_s[rows[chosen.id]] <= hurry.interval_s
            turned += chosen.id != usual.id
    assert turned > 5


def test_where_no_deadline_so_short_can_be_kept_the_shortest_that_can_is_offered(
    world: Callable[..., Any],
) -> None:
    it, now = world(3), Conditions(2e6, 0.03)
    objective = Objective(deadline_s=1e-6, max_miss_share=0.1)
    with pytest.raises(PlanError, match=r"a deadline of ([\d.]+) ms instead of 0.001 ms") as error:
        check_feasible(it.planner, objective, now)
    offered = re.search(r"a deadline of ([\d.]+) ms", str(error.value))
    assert offered is not None
    kept_s, shorter_s = (float(offered[1]) * factor for factor in (1.01e-3, 0.99e-3))
    check_feasible(it.planner, objective.model_copy(update={"deadline_s": kept_s}), now)
    with pytest.raises(PlanError):
        check_feasible(it.planner, objective.model_copy(update={"deadline_s": shorter_s}), now)

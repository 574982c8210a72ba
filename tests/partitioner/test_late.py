"""Late samples as what is minimised: the least share there is, found by following every sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.offers import check_feasible
from partitioner.reasons import explain

SEEDS = st.integers(0, 2**32 - 1)
World = Callable[..., Any]
Weather = Callable[..., Conditions]


@settings(max_examples=30, deadline=None)
@given(
    seed=SEEDS,
    exits=st.integers(0, 2),
    drop=st.sampled_from([0.0, 0.1, 0.4, None]),
    place=st.floats(0.0, 1.0),
    misses=st.sampled_from([None, 0.01, 0.3]),
    hedged=st.booleans(),
)
def test_the_least_late_share_is_found_whatever_may_be_missed(
    world: World,
    weather: Weather,
    seed: int,
    exits: int,
    drop: float | None,
    place: float,
    misses: float | None,
    hedged: bool,
) -> None:
    it, now = world(seed, exits=exits), replace(weather(seed), hedged=hedged)
    outcomes = list(it.outcomes(now))
    latencies_s = np.sort([t for o in outcomes for t in o.latencies])
    deadline_s = float(latencies_s[int(place * (len(latencies_s) - 1))]) + 1e-7
    objective = Objective(
        minimise="late", max_accuracy_drop=drop, deadline_s=deadline_s, max_miss_share=misses
    )
    floor = it.planner.accuracy_floor(objective) - 1e-12
    rows = {it.planner.plan_of(row): row for row in range(len(it.candidates))}
    accuracy = it.planner.accuracy(hedged)
    late = it.planner.forecast(now).late_share(deadline_s)
    plan = it.planner.best(objective, now)
    assert plan == it.planner.plan_of(int(it.planner.rank(objective, now).rows[0]))
    if (accuracy >= floor).any():
        least = late[accuracy >= floor].min()
        assert accuracy[rows[plan]] >= floor
        assert late[rows[plan]] == pytest.approx(least, abs=1e-12)
        if not hedged:
            followed = min(o.miss_share(deadline_s) for o in outcomes if o.accuracy >= floor)
            assert least == pytest.approx(followed, abs=1e-9)
        meets = it.planner.standing(plan, objective, now).meets
        assert meets == (misses is None or least <= misses + 1e-12)


def test_a_deadline_is_no_limit_where_late_samples_are_minimised(world: World) -> None:
    """Samples are late under every plan, of different shares; nothing was asked of them."""
    it, now = world(3), Conditions(2e6, 0.03)
    accurate = it.planner.accuracy(False) >= it.planner.accuracy_floor(Objective()) - 1e-12
    shares = {}
    for deadline_s in np.linspace(0.002, 0.1, 60).tolist():
        late = it.planner.forecast(now).late_share(deadline_s)[accurate]
        if late.min() > 0.05 and late.max() > late.min() + 0.1:
            shares[deadline_s] = late.min()
    assert len(shares) > 3
    for deadline_s, least in shares.items():
        wish = Objective(minimise="late", deadline_s=deadline_s)
        check_feasible(it.planner, wish, now)
        plan = explain(it.planner, it.planner.best(wish, now), wish, now)
        assert plan.prediction is not None
        assert plan.prediction.miss_share == pytest.approx(least)
        assert "no plan keeps" not in plan.reason
        limited = wish.model_copy(update={"max_miss_share": 0.01})
        nearest = explain(it.planner, it.planner.best(limited, now), limited, now)
        assert nearest.prediction is not None
        assert nearest.prediction.miss_share == pytest.approx(least)
        assert "no plan keeps" in nearest.reason


def test_other_limits_go_before_the_late_share(world: World) -> None:
    it, now = world(3), Conditions(2e6, 0.03)
    for most in (0.0, 1000.0, 4000.0):
        for misses in (None, 0.01):
            wish = Objective(
                minimise="late",
                max_accuracy_drop=1.0,
                deadline_s=0.05,
                max_miss_share=misses,
                limits={"uplink_bytes": most},
            )
            forecast = it.planner.forecast(now)
            kept = forecast.uplink_bytes <= most
            late = forecast.late_share(0.05)
            row = it.planner.row_of(it.planner.best(wish, now))
            assert kept[row]
            assert late[row] == pytest.approx(late[kept].min())

"""The least late plan: bounds hold, and what they rule out is never the best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import partitioner.least_late
from partitioner.conditions import Conditions
from partitioner.forecast import Forecast
from partitioner.least_late import least_late
from partitioner.objective import Objective

SEEDS = st.integers(0, 2**32 - 1)
FEW = st.integers(0, 20)  # worlds are made once
DOUBTS = st.sampled_from([0.0, 0.01, 0.3, 1.0, 4.0])
World = Callable[..., Any]
Weather = Callable[..., Conditions]


def _scene(it: Any, now: Conditions, doubt: float, place: float) -> tuple[Conditions, float]:
    """Return conditions in doubt, and a deadline at which some plans are late for some samples."""
    now = replace(
        now, s_per_bit_sigma=doubt / now.bandwidth_bps, rtt_sigma_s=doubt * now.rtt_s * (doubt < 2)
    )
    return now, float(np.quantile(it.planner.forecast(now).quantile_s(0.8), place))


@settings(max_examples=60, deadline=None)
@given(
    world_seed=FEW,
    seed=SEEDS,
    doubt=DOUBTS,
    hedged=st.booleans(),
    unevenness=st.sampled_from([0.0, 1.0]),
    place=st.floats(0.0, 1.0),
    drop=st.sampled_from([0.0, 0.1, 0.4, None]),
    misses=st.sampled_from([None, 0.01, 0.3]),
    reachable=st.booleans(),
)
def test_no_plan_is_less_late_than_the_one_that_is_taken(
    world: World,
    weather: Weather,
    world_seed: int,
    seed: int,
    doubt: float,
    hedged: bool,
    unevenness: float,
    place: float,
    drop: float | None,
    misses: float | None,
    reachable: bool,
) -> None:
    it = world(world_seed, samples=200)
    link = replace(
        weather(seed, reachable),
        hedged=hedged,
        unevenness=unevenness,
        rate_hz=5.0 * bool(unevenness),
        vain_share=0.05,
        tail_vain_share=0.1,
    )
    now, deadline_s = _scene(it, link, doubt, place)
    objective = Objective(
        minimise="late", max_accuracy_drop=drop, deadline_s=deadline_s, max_miss_share=misses
    )
    ranking = it.planner.rank(objective, now)
    first, row = int(ranking.rows[0]), it.planner.row_of(it.planner.best(objective, now))
    assert ranking.target[row] == pytest.approx(ranking.target[first], abs=1e-8)
    assert ranking.feasible[row] == ranking.feasible[first]
    cost_s = it.planner.forecast(now).cost_s
    assert cost_s[row] <= cost_s[first] * (1 + 1e-9)


@pytest.mark.parametrize("drop", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("doubt", [0.0, 0.3])
def test_of_plans_that_are_as_late_the_least_in_the_mean_is_taken(
    world: World, doubt: float, drop: float
) -> None:
    """All samples are late under every plan; rounding makes shares of it that differ."""
    now = Conditions(2e6, 0.03, s_per_bit_sigma=doubt / 2e6)
    objective = Objective(minimise="late", deadline_s=1e-6, max_accuracy_drop=drop)
    shares = set()
    for world_seed in range(8):
        it = world(world_seed, samples=200)
        floor = it.planner.accuracy_floor(objective) - 1e-12
        accurate = np.flatnonzero(it.planner.accuracy(False) >= floor)
        forecast = it.planner.forecast(now)
        shares |= set(forecast.late_share(1e-6)[accurate])
        quickest = accurate[forecast.cost_s[accurate].argmin()]
        assert it.planner.row_of(it.planner.best(objective, now)) == quickest
        assert it.planner.rank(objective, now).rows[0] == quickest
    assert min(shares) == pytest.approx(1)
    assert drop < 1 or len(shares) > 1


@settings(max_examples=40, deadline=None)
@given(
    world_seed=FEW,
    seed=SEEDS,
    doubt=DOUBTS,
    hedged=st.booleans(),
    place=st.floats(0.0, 1.0),
    groups=st.sampled_from([1, 2, 7, 300]),
)
def test_late_shares_lie_between_their_bounds(
    world: World,
    weather: Weather,
    world_seed: int,
    seed: int,
    doubt: float,
    hedged: bool,
    place: float,
    groups: int,
) -> None:
    it = world(world_seed, samples=200)
    now, late_s = _scene(it, replace(weather(seed), hedged=hedged), doubt, place)
    forecast = it.planner.forecast(now)
    late = forecast.late_share(late_s)
    least, most = forecast.late_bounds(late_s, groups)
    assert (least <= late + 1e-12).all()
    assert (late <= most + 1e-12).all()
    wider = forecast.late_bounds(late_s, 1)
    assert (most - least <= (wider[1] - wider[0]) / groups + 1 / 200 + 1e-12).all()


def test_few_candidates_are_followed_sample_by_sample(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounds leave the best and some that come near to it, and never decide by themselves."""
    it = world(3, samples=200, depth=5)
    now, late_s = _scene(it, Conditions(2e6, 0.03), 0.3, 0.5)
    forecast, followed = it.planner.forecast(now), []

    class Counted(Forecast):
        def late_share(self, deadline_s: float) -> Any:
            followed.append(len(self.costs))
            return super().late_share(deadline_s)

    monkeypatch.setattr(partitioner.least_late, "Forecast", Counted)
    everything = np.arange(len(it.candidates))
    late = forecast.late_share(late_s)
    found = least_late(forecast, late_s, everything)
    assert late[found] == pytest.approx(late.min(), abs=1e-12)
    assert late.max() > late.min()
    assert sum(followed) < len(everything) / 10
    some = everything[::3]
    assert late[least_late(forecast, late_s, some)] == pytest.approx(late[some].min(), abs=1e-12)

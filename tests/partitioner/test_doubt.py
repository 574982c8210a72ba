"""A link in doubt: what samples do on all links that it may be, drawn or counted one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partitioner.conditions import Conditions
from partitioner.forecast import Forecast
from partitioner.objective import Limits, Objective

SEEDS = st.integers(0, 2**32 - 1)
MODEST = settings(max_examples=15, deadline=None)
World = Callable[..., Any]


def _in_doubt(now: Conditions, doubt: float) -> Conditions:
    return replace(now, s_per_bit_sigma=doubt / now.bandwidth_bps, rtt_sigma_s=doubt * now.rtt_s)


def _slower(now: Conditions, sigmas: float) -> Conditions:
    """Return the conditions of a link that is certain, so many standard deviations slower."""
    return replace(
        now,
        bandwidth_bps=1 / (1 / now.bandwidth_bps + sigmas * now.s_per_bit_sigma),
        rtt_s=now.rtt_s + sigmas * now.rtt_sigma_s,
        s_per_bit_sigma=0.0,
        rtt_sigma_s=0.0,
    )


@MODEST
@given(seed=SEEDS, doubt=st.floats(0.01, 0.7), hedged=st.booleans(), late_s=st.floats(1e-3, 0.3))
def test_late_are_as_many_as_on_links_as_likely_as_each_other(
    world: World,
    weather: Callable[..., Conditions],
    seed: int,
    doubt: float,
    hedged: bool,
    late_s: float,
) -> None:
    it, now = world(seed), _in_doubt(replace(weather(seed), hedged=hedged), doubt)
    links = [_slower(now, NormalDist().inv_cdf(share)) for share in (0.1, 0.3, 0.5, 0.7, 0.9)]
    late = np.mean([it.planner.forecast(link).late_share(late_s) for link in links], axis=0)
    assert it.planner.forecast(now).late_share(late_s) == pytest.approx(late, abs=1e-9)


@MODEST
@given(seed=SEEDS, doubt=st.floats(0.01, 0.7), share=st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_a_quantile_is_kept_on_links_drawn_at_random(
    world: World,
    weather: Callable[..., Conditions],
    seed: int,
    doubt: float,
    share: float,
) -> None:
    it, now = world(seed), _in_doubt(weather(seed), doubt)
    rows = np.flatnonzero(it.candidates.sends & (it.candidates.sent_share > 0))
    costs = it.planner.forecast(now).costs.select(rows[seed % len(rows)][None])
    latest_s = float(Forecast(costs, now).quantile_s(share)[0])
    draws = NormalDist().samples(400, seed=seed % 1000)
    links = [_slower(now, max(draw, -1 / doubt + 0.01)) for draw in draws]
    late = np.mean([Forecast(costs, link).late_share(latest_s + 1e-9)[0] for link in links])
    assert late <= 1 - share + 0.1


@pytest.mark.parametrize("share", [0.6, 0.9, 0.99])
def test_of_samples_alike_a_quantile_is_that_of_the_links_they_meet(
    world: World, share: float
) -> None:
    it, now = world(3), _in_doubt(Conditions(2e6, 0.03), 0.3)
    costs = it.planner.forecast(now).costs
    c = costs.candidates
    costs = replace(costs, candidates=replace(c, sent_bytes=np.where(c.sent_bytes > 0, 800, 0)))
    rows = np.flatnonzero(c.sends & (c.sent_share > 2 * (1 - share)))
    quantile_s = Forecast(costs, now).quantile_s(share)
    assert len(rows)
    for row in rows:
        sigmas = NormalDist().inv_cdf(1 - (1 - share) / c.sent_share[row])
        met = Forecast(costs, _slower(now, sigmas)).quantile_s(share)
        assert quantile_s[row] == pytest.approx(met[row])


def test_what_is_in_doubt_decides_on_limits_and_not_on_means(world: World) -> None:
    it = world(11)
    sure = Conditions(2e6, 0.02)
    unsure = _in_doubt(sure, 2.0)
    assert it.planner.best(Objective(), unsure) == it.planner.best(Objective(), sure)
    sends = it.planner.forecast(sure)
    row = int(np.flatnonzero(it.candidates.sends & (it.candidates.sent_share > 0.5))[0])
    plan = it.planner.plan_of(row)
    latest_s = float(sends.quantile_s(0.99)[row]) * 1.01
    limited = Objective(max_accuracy_drop=1.0, limits=Limits(p99_s=latest_s))
    found = [it.planner.standing(plan, limited, now) for now in (sure, unsure)]
    assert [standing.meets for standing in found if standing] == [True, False]

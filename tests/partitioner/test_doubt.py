"""A link in doubt: what samples do on the links that it may be, bisected or drawn one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from partitioner.conditions import Conditions
from partitioner.costs import FRAME_OVERHEAD_BYTES
from partitioner.forecast import Forecast
from partitioner.objective import Limits, Objective

SEEDS = st.integers(0, 2**32 - 1)
MODEST = settings(max_examples=15, deadline=None)
World = Callable[..., Any]


def _in_doubt(now: Conditions, doubt: float) -> Conditions:
    return replace(now, s_per_bit_sigma=doubt / now.bandwidth_bps, rtt_sigma_s=doubt * now.rtt_s)


def _slower(now: Conditions, sigmas: float) -> Conditions:
    """Return the conditions of a link that is certain, so many standard deviations slower.

    It takes a quarter of what is believed at least.
    """
    s_per_bit = max(1 / now.bandwidth_bps + sigmas * now.s_per_bit_sigma, 0.25 / now.bandwidth_bps)
    return replace(
        now,
        bandwidth_bps=1 / s_per_bit,
        rtt_s=max(now.rtt_s + sigmas * now.rtt_sigma_s, 0.25 * now.rtt_s),
        s_per_bit_sigma=0.0,
        rtt_sigma_s=0.0,
    )


def _by_hand(it: Any, row: int, now: Conditions, late_s: float) -> float:
    """Return how many samples are late: each as often as the link is too slow for it, bisected."""
    costs = it.planner.forecast(now).costs
    c, late = costs.candidates, 0.0
    samples = c.sent_bytes.shape[1]
    for at, share in enumerate(c.exit_shares[row]):
        late += share * (costs.exit_s[row, at] * now.device_stretch > late_s)
    device_s = costs.device_s[row] * now.device_stretch
    stayed = round((1 - c.exit_shares[row].sum()) * samples)
    for size in c.sent_bytes[row, samples - stayed :].tolist():
        if not c.sends[row]:
            late += (device_s > late_s) / samples
            continue
        here_s = costs.rest_s[row] * now.device_stretch
        if now.hedged and device_s + here_s <= late_s:
            continue

        def in_time(sigmas: float, size: int = size, device_s: float = device_s) -> bool:
            link = _slower(now, sigmas)
            away_s = link.rtt_s + 8 * (size + FRAME_OVERHEAD_BYTES) / link.bandwidth_bps
            away_s += now.queue_s + costs.server_s[row] * now.server_stretch
            return bool(device_s + away_s <= late_s)

        low, high = -9.0, 9.0
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if in_time(middle) else (low, middle)
        late += NormalDist().cdf(-low) / samples if low > -8.9 else 1 / samples
    return float(late)


@MODEST
@given(seed=SEEDS, doubt=st.floats(0.01, 4.0), hedged=st.booleans(), place=st.floats(0.02, 0.98))
def test_late_are_as_many_as_links_are_too_slow_for(
    world: World,
    weather: Callable[..., Conditions],
    seed: int,
    doubt: float,
    hedged: bool,
    place: float,
) -> None:
    it, now = world(seed), _in_doubt(replace(weather(seed), hedged=hedged), doubt)
    forecast = it.planner.forecast(now)
    send = np.flatnonzero(it.candidates.sends & (it.candidates.sent_share > 0))
    rows = [int(send[seed % len(send)]), int(np.flatnonzero(~it.candidates.sends)[0])]
    late_s = float(np.quantile(forecast.quantile_s(0.8), place))
    for row in rows:
        told = forecast.late_share(late_s)[row]
        assert told == pytest.approx(_by_hand(it, row, now, late_s), abs=1e-5)


@pytest.mark.parametrize("sigmas", [-2.0, -0.5, 0.0, 1.0, 1.29, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("doubt", [0.1, 0.3])
def test_the_late_share_of_samples_alike_is_the_tail_of_the_links(
    world: World, sigmas: float, doubt: float
) -> None:
    it, now = world(3), _in_doubt(Conditions(2e6, 0.03), doubt)
    c = it.planner.forecast(now).costs.candidates
    alike = replace(c, sent_bytes=np.where(c.sent_bytes > 0, 800, 0))
    costs = replace(it.planner.forecast(now).costs, candidates=alike)
    row = int(np.flatnonzero(c.sends & (c.sent_share == 1.0))[0])
    met_s = float(Forecast(costs, _slower(now, sigmas)).quantile_s(0.5)[row])
    told = Forecast(costs, now).late_share(met_s)[row]
    assert told == pytest.approx(NormalDist().cdf(-sigmas), abs=1e-4)


@MODEST
@given(seed=SEEDS, doubt=st.floats(0.0, 4.0), hedged=st.booleans())
@example(seed=0, doubt=2.3e-308, hedged=False)
@example(seed=0, doubt=1e-9, hedged=False)
def test_a_later_deadline_never_has_more_late(
    world: World, weather: Callable[..., Conditions], seed: int, doubt: float, hedged: bool
) -> None:
    it, now = world(seed), _in_doubt(replace(weather(seed), hedged=hedged), doubt)
    forecast = it.planner.forecast(now)
    late = np.array([forecast.late_share(late_s) for late_s in np.geomspace(1e-4, 10, 60)])
    assert (np.diff(late, axis=0) <= 1e-12).all()
    assert late.min() >= 0
    assert late.max() <= 1 + 1e-12


@MODEST
@given(seed=SEEDS, doubt=st.floats(0.01, 4.0), share=st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_a_quantile_has_at_most_twice_as_many_late_as_it_says(
    world: World,
    weather: Callable[..., Conditions],
    seed: int,
    doubt: float,
    share: float,
) -> None:
    it, now = world(seed), _in_doubt(weather(seed), doubt)
    c, forecast = it.candidates, it.planner.forecast(now)
    rows = np.flatnonzero(c.sends & (c.sent_share > 0))
    for row in rows[:: max(len(rows) // 5, 1)]:
        latest_s = float(forecast.quantile_s(share)[row]) + 1e-9
        assert forecast.late_share(latest_s)[row] <= 2 * (1 - share) + 1e-4


def test_a_quantile_is_kept_on_links_drawn_at_random(world: World) -> None:
    it, now = world(3), _in_doubt(Conditions(2e6, 0.03), 0.3)
    rows = np.flatnonzero(it.candidates.sends & (it.candidates.sent_share > 0))
    links = [_slower(now, draw) for draw in NormalDist().samples(2000, seed=5)]
    for row in rows[:: len(rows) // 4]:
        costs = it.planner.forecast(now).costs.select(row[None])
        for share in (0.9, 0.99):
            latest_s = float(Forecast(costs, now).quantile_s(share)[0]) + 1e-9
            late = np.mean([Forecast(costs, link).late_share(latest_s)[0] for link in links])
            noise = 3 * np.sqrt(2 * (1 - share) / len(links))
            assert late <= 2 * (1 - share) + noise
            assert late == pytest.approx(Forecast(costs, now).late_share(latest_s)[0], abs=noise)


def test_far_in_doubt_no_link_is_counted_on_to_take_no_time(world: World) -> None:
    """Ten seconds after the last answer a normal distribution has 4 in 10 links below 0."""
    it, now = world(3), replace(Conditions(2e6, 0.03), s_per_bit_sigma=3.3 / 2e6)
    forecast = it.planner.forecast(now)
    best = it.planner.forecast(replace(now, bandwidth_bps=8e6, s_per_bit_sigma=0.0))
    for late_s in np.linspace(0.01, 0.2, 20):
        assert (forecast.late_share(late_s) >= best.late_share(late_s) - 1e-12).all()


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

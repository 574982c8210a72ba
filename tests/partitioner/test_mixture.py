"""Mixtures against all small ones, by their prices, and against following samples by hand."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import partitioner.costs
from offramp.errors import PlanError
from partitioner.conditions import Conditions
from partitioner.mixture import RESOURCES, Mixer, Sharing
from partitioner.objective import Objective
from partitioner.planner import Planner
from partitioner.power import Power
from partitioner.profile import Profile, Timing
from partitioner.shares import solve

SEEDS = st.integers(0, 2**32 - 1)
HERE = Conditions(4e6, 0.004)


def least_period(loads: Any, values: Any, most: Any) -> float | None:
    """Return the least period of all corners: every few plans with as many rows that are tight."""
    rows = np.vstack([loads.T, values.T])
    periods = np.repeat([1.0, 0.0], [loads.shape[1], len(most)])
    allowed = np.append(np.zeros(loads.shape[1]), most)
    best = None
    for size in range(1, len(rows) + 1):
        for plans in itertools.combinations(range(len(loads)), size):
            for tight in itertools.combinations(range(len(rows)), size):
                left = np.zeros((size + 1, size + 1))
                left[:size, :size] = rows[np.ix_(tight, plans)]
                left[:size, size] = -periods[list(tight)]
                left[size, :size] = 1
                right = np.append(allowed[list(tight)], 1.0)
                if abs(np.linalg.det(left)) < 1e-12:
                    continue
                *shares, period = np.linalg.solve(left, right)
                takes = rows[:, plans] @ shares
                if min(shares) > -1e-9 and (takes <= allowed + periods * period + 1e-9).all():
                    best = period if best is None else min(best, period)
    return best


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, plans=st.integers(1, 6), limits=st.integers(0, 2))
def test_no_few_plans_do_better(seed: int, plans: int, limits: int) -> None:
    dice = np.random.default_rng(seed)
    loads, values = dice.uniform(0.1, 3, (plans, 3)), dice.uniform(0, 1, (plans, limits))
    most = dice.uniform(0.2, 0.8, limits)
    found, best = solve(loads, values, most), least_period(loads, values, most)
    if found is None:
        assert best is None
        return
    assert best is not None
    assert found.period == pytest.approx(best, rel=1e-7)
    assert np.count_nonzero(found.shares) <= 3 + limits
    assert found.shares.sum() == pytest.approx(1)
    assert (found.shares @ values <= most + 1e-7).all()


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, plans=st.integers(1, 300))
def test_one_plan_alone_takes_at_most_three_times_as_long(seed: int, plans: int) -> None:
    dice = np.random.default_rng(seed)
    loads = dice.lognormal(0, 1.5, (plans, 3))
    found = solve(loads, np.zeros((plans, 0)), np.zeros(0))
    assert found is not None
    alone = loads.max(axis=1).min()
    assert found.period * (1 - 1e-9) <= alone <= 3 * found.period * (1 + 1e-9)


def test_three_plans_that_load_one_resource_each_are_mixed_alike() -> None:
    found = solve(np.eye(3), np.zeros((3, 0)), np.zeros(0))
    assert found is not None
    assert found.shares == pytest.approx([1 / 3] * 3)
    assert found.resource_prices == pytest.approx([1 / 3] * 3)
    assert found.period == pytest.approx(1 / 3)


@settings(max_examples=25, deadline=None)
@given(
    seed=SEEDS,
    devices=st.integers(1, 9),
    workers=st.integers(1, 3),
    one_uplink=st.booleans(),
    drop=st.sampled_from([0.0, 0.1, 0.3]),
)
def test_no_candidate_would_pay_at_the_prices(
    world: Callable[..., Any],
    weather: Callable[..., Conditions],
    seed: int,
    devices: int,
    workers: int,
    one_uplink: bool,
    drop: float,
) -> None:
    """The proof that a mixture is the best one: what it saves by any plan, it pays by prices."""
    it, now = world(seed % 20), weather(seed)
    objective = Objective(max_accuracy_drop=drop)
    mixer = Mixer(it.planner, objective, now, Sharing(devices, workers, one_uplink))
    found = mixer.best()
    c, demands = it.planner.candidates, it.planner.forecast(now).costs.mean
    uplink_s = demands.uplink_bytes * 8 / now.bandwidth_bps * (devices if one_uplink else 1)
    server_s = demands.server_s * now.server_stretch * devices / workers
    loads_s = np.stack([demands.device_s * now.device_stretch, uplink_s, server_s], axis=1)
    floor = it.planner.accuracy_floor(objective)
    prices = np.array([found.worth[name] for name in RESOURCES])
    assert sum(prices) == pytest.approx(1)
    saved_s = found.period_s * (1 - 1e-6) - loads_s @ prices
    below = np.where(abs(floor - c.accuracy) < 1e-9, 0.0, floor - c.accuracy)
    assert (saved_s[below == 0] <= 0).all()
    less, more = below > 0, below < 0
    price_s = max([0.0, *(saved_s[less] / below[less])])  # the least that accuracy may cost
    assert (saved_s[more] <= price_s * below[more]).all()
    shares = {part.plan.id: part.share for part in found.parts}
    rows = [row for row in range(len(c)) if it.planner.plan_of(row).id in shares]
    weights = [shares[it.planner.plan_of(row).id] for row in rows]
    assert weights @ loads_s[rows] == pytest.approx(
        [found.busy[name] * found.period_s for name in RESOURCES]
    )
    assert max(found.busy.values()) == pytest.approx(1)
    assert found.accuracy >= floor - 1e-9
    assert len(found.parts) <= 4
    alone = mixer.alone()
    if alone is not None:
        assert alone.period_s >= found.period_s * (1 - 1e-9)
        assert alone.accuracy >= floor - 1e-9
    assert mixer.quickest().period_s >= found.period_s * (1 - 1e-9)


def test_worth_is_what_a_little_more_brings(world: Callable[..., Any]) -> None:
    it, objective = world(3, depth=4, samples=40), Objective(max_accuracy_drop=0.2)

    def period_s(now: Conditions) -> float:
        return Mixer(it.planner, objective, now, Sharing(4)).best().period_s

    found = Mixer(it.planner, objective, HERE, Sharing(4)).best()
    assert sum(worth > 0.01 for worth in found.worth.values()) > 1
    little = 1e-6
    for name, more in {
        "device": replace(HERE, device_stretch=1 - little),
        "uplink": replace(HERE, bandwidth_bps=4e6 * (1 + little)),
        "server": replace(HERE, server_stretch=1 - little),
    }.items():
        growth = found.period_s / period_s(more) - 1
        assert growth / little == pytest.approx(found.worth[name], abs=1e-3)


LIMITS = {
    **{name: (f"{name}_s", 0.02, 0.06) for name in ("mean", "p90", "p95", "p99")},
    "server": ("server_s", 1e-4, 2e-3),
    "uplink": ("uplink_bytes", 100, 3000),
    "energy": ("energy_j", 0.01, 0.2),
}


@pytest.mark.parametrize("name", [*LIMITS, "late", "accuracy"])
def test_what_a_higher_limit_is_told_to_bring_it_does(
    name: str, world: Callable[..., Any], draws: Power
) -> None:
    it, told = world(3, depth=4, samples=40), 0
    planner = Planner(it.bundle, it.candidates, it.device.drawing(draws), it.server)

    def best(**wish: Any) -> Any:
        return Mixer(planner, Objective(**{"max_accuracy_drop": 0.2, **wish}), HERE, Sharing(8))

    pairs: list[tuple[dict[str, Any], dict[str, Any]]]
    if name == "accuracy":
        pairs = [({"max_accuracy_drop": d}, {"max_accuracy_drop": d + 1e-3}) for d in (0.1, 0.2)]
    elif name == "late":
        late = [{"deadline_s": 0.04, "max_miss_share": share} for share in (0.02, 0.1, 0.2)]
        pairs = [(one, {**one, "max_miss_share": one["max_miss_share"] + 1e-3}) for one in late]
    else:
        key, low, high = LIMITS[name]
        amounts = np.geomspace(low, high, 24).tolist()
        pairs = [({"limits": {key: a}}, {"limits": {key: 1.01 * a}}) for a in amounts]
    for asked, looser in pairs:
        try:
            found = best(**asked).best()
        except PlanError:
            continue
        growth = 100 * (found.period_s / best(**looser).best().period_s - 1)
        assert found.worth_of_limits[name] == pytest.approx(growth, abs=1e-4)
        told += growth > 0.005
    assert told


def test_a_limit_holds_for_the_mean_over_the_plans(world: Callable[..., Any]) -> None:
    it = world(3, depth=4, samples=40)
    free = Mixer(it.planner, Objective(max_accuracy_drop=0.2), HERE, Sharing(2)).best()
    bytes_free = float(free.takes_s[1]) * HERE.bandwidth_bps / 8
    limits = {"uplink_bytes": bytes_free / 2, "p95_s": 0.2, "server_s": 1.0}
    held = Mixer(
        it.planner, Objective(max_accuracy_drop=0.2, limits=limits), HERE, Sharing(2)
    ).best()
    assert held.takes_s[1] * HERE.bandwidth_bps / 8 <= bytes_free / 2 * (1 + 1e-6)
    assert held.period_s > free.period_s
    assert held.worth_of_limits["uplink"] > 0
    assert held.worth_of_limits["server"] == 0
    assert set(held.worth) == set(RESOURCES)


def test_a_quantile_is_kept_over_all_samples_of_the_mixture(world: Callable[..., Any]) -> None:
    it = world(3, depth=4, samples=40)
    free = Mixer(it.planner, Objective(max_accuracy_drop=0.2), HERE, Sharing(2)).best()
    latencies_s = _latencies_s(it, free)
    limit_s = _quantile(latencies_s, 0.9) * 0.97
    objective = Objective(max_accuracy_drop=0.2, limits={"p90_s": limit_s})
    held = Mixer(it.planner, objective, HERE, Sharing(2)).best()
    assert _quantile(_latencies_s(it, held), 0.9) <= limit_s < _quantile(latencies_s, 0.9)


def _latencies_s(it: Any, mixture: Any) -> list[tuple[float, float]]:
    """Return every sample's latency under every part, with its weight."""
    found = []
    for part in mixture.parts:
        plan = part.plan
        outcome = it.follow(plan.cut, plan.level, plan.thresholds, HERE)
        found += [(s, part.share / len(outcome.latencies)) for s in outcome.latencies]
    return sorted(found)


def _quantile(weighted: list[tuple[float, float]], share: float) -> float:
    total = 0.0
    for value, weight in weighted:
        total += weight
        if total >= share - 1e-6:
            return value
    raise AssertionError(total)


def test_memory_has_to_suffice_for_every_plan(
    world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    it = world(3, depth=4)
    monkeypatch.setattr(partitioner.costs, "held_bytes", lambda manifest, cut: 100 * cut)
    planner = Planner(it.bundle, it.candidates, it.device, it.server)

    def cuts(most: float) -> set[int]:
        objective = Objective(max_accuracy_drop=0.5, limits={"memory_bytes": most})
        found = Mixer(planner, objective, HERE, Sharing(100)).best()
        return {part.plan.cut for part in found.parts}

    assert max(cuts(400)) > 1
    assert max(cuts(100)) <= 1


def test_without_a_server_nothing_is_sent(world: Callable[..., Any]) -> None:
    alone = replace(HERE, reachable=False)
    found = Mixer(world(3).planner, Objective(max_accuracy_drop=0.2), alone, Sharing(2)).best()
    assert all(part.plan.level is None for part in found.parts)


def test_what_no_mixture_keeps_is_refused_with_offers(world: Callable[..., Any]) -> None:
    it = world(4)
    best = Mixer(it.planner, Objective(max_accuracy_drop=0.2), HERE, Sharing(5)).best()
    assert it.candidates.accuracy.max() < 1
    for objective, words in (
        (Objective(max_accuracy_drop=None, min_accuracy=1.0), "accuracy .* instead of 1"),
        (Objective(max_accuracy_drop=0.2, limits={"mean_s": 1e-4}), "mean .* instead of 0.1 ms"),
        (
            Objective(max_accuracy_drop=0.2, limits={"period_s": best.period_s / 2}),
            "let fewer devices share",
        ),
    ):
        with pytest.raises(PlanError, match=words):
            Mixer(it.planner, objective, HERE, Sharing(5)).best()
    enough = Objective(max_accuracy_drop=0.2, limits={"period_s": best.period_s})
    assert Mixer(it.planner, enough, HERE, Sharing(5)).best().period_s == best.period_s


def test_more_devices_get_no_more_each(world: Callable[..., Any]) -> None:
    it, objective = world(3), Objective(max_accuracy_drop=0.2)
    periods_s = [
        Mixer(it.planner, objective, HERE, Sharing(devices)).best().period_s
        for devices in (1, 2, 4, 8, 100)
    ]
    assert all(before <= after + 1e-12 for before, after in itertools.pairwise(periods_s))
    two = Mixer(it.planner, objective, HERE, Sharing(8, workers=4)).best().period_s
    assert two == pytest.approx(periods_s[1])


@pytest.mark.parametrize("devices", [1, 3, 7])
def test_devices_that_take_turns_among_the_plans_reach_the_period(
    devices: int, world: Callable[..., Any]
) -> None:
    it = world(3, depth=4, samples=40)
    found = Mixer(it.planner, Objective(max_accuracy_drop=0.2), HERE, Sharing(devices)).best()
    assert len(found.parts) > 1
    shares = [part.share for part in found.parts]
    takes_s = [part.takes_s.tolist() for part in found.parts]
    reached_s = _period_s(devices, shares, takes_s, samples=3000)
    assert found.period_s <= reached_s * (1 + 1e-3)  # the first ones find nothing busy
    assert reached_s <= found.period_s * 1.01
    alone = _period_s(devices, [1.0], [takes_s[0]], samples=3000)
    assert alone == pytest.approx(found.parts[0].period_s, rel=0.01)


def _period_s(devices: int, shares: Any, takes_s: Any, *, samples: int) -> float:
    """Let samples pass device, uplink and the one server in order, each as soon as it can.

    The plan of a sample is the one whose share it is behind with most.
    """
    credit, arrivals = [0.0] * len(shares), []
    device_free_s = uplink_free_s = 0.0
    for _ in range(samples):
        credit = [had + share for had, share in zip(credit, shares, strict=True)]
        at = max(range(len(shares)), key=lambda plan: credit[plan])
        credit[at] -= 1
        device_s, uplink_s, server_s = takes_s[at]
        device_free_s += device_s
        uplink_free_s = max(uplink_free_s, device_free_s) + uplink_s
        arrivals += [(uplink_free_s, server_s)] * devices
    server_free_s = 0.0
    for arrived_s, server_s in sorted(arrivals):
        server_free_s = max(server_free_s, arrived_s) + server_s
    return server_free_s / samples


def test_profiles_by_which_nothing_takes_time_are_refused(world: Callable[..., Any]) -> None:
    it = world(3)
    zero = Timing(median_s=0, p10_s=0, p90_s=0, runs=1)

    def idle(profile: Profile) -> Profile:
        (runner,) = profile.runners
        none = {part: (zero,) * len(getattr(runner, part)) for part in ("head", "tail", "exits")}
        return profile.having((runner.model_copy(update=none),))

    planner = Planner(it.bundle, it.candidates, idle(it.device), it.server)
    with pytest.raises(PlanError, match="takes no time at all"):
        Mixer(planner, Objective(max_accuracy_drop=0.5), HERE, Sharing(2)).best()

"""The best plan for what comes is the best of all of them, tried one by one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from partitioner.costs import FRAME_OVERHEAD_BYTES
from partitioner.foreseen import best_foreseen
from partitioner.objective import Objective
from partitioner.plan import Plan


@dataclass(frozen=True)
class Weather:
    """A future in which nothing passes until ``out_s``."""

    bandwidth_bps: float
    out_s: float = 0.0
    device_stretch: float = 1.0
    reachable: bool = True
    gap_s: float = math.inf

    def away_s(self, after_s: float, size_bytes: float, server_s: float) -> float:
        begun_s = max(self.out_s - after_s, 0.0)
        return begun_s + 8 * size_bytes / self.bandwidth_bps + 0.003 + server_s


def rolled(seed: int, **given: Any) -> Weather:
    dice = np.random.default_rng(seed)
    return Weather(
        float(10 ** dice.uniform(5, 8)),
        float(dice.choice([0.0, 0.0, 0.02, 0.5])),
        float(dice.uniform(0.5, 3)),
        **{"reachable": bool(dice.random() < 0.8), **given},
    )


def cost_s(it: Any, plan: Plan, future: Weather, deadline_s: float) -> float:
    """What a sample costs under a plan in the mean: latency, and how long the next one waits."""
    manifest, depth = it.bundle.manifest, len(it.bundle.manifest.segments)
    row = it.planner.row_of(plan)
    c, stretch = it.planner.candidates, future.device_stretch
    spent_s, total_s, left = 0.0, 0.0, 0.0
    for at, threshold in enumerate(plan.thresholds):
        if threshold < 2:
            spent_s += it.device.exits[at].median_s
            end_s = (it.device.head[manifest.exits[at].boundary].median_s + spent_s) * stretch
            share = float(c.exit_shares[row, at])
            total_s += share * (end_s + max(end_s - future.gap_s, 0.0))
            left += share
    device_s = it.device.head[plan.cut].median_s + spent_s
    if plan.level is None:
        end_s = device_s * stretch
        return total_s + (1 - left) * (end_s + max(end_s - future.gap_s, 0.0))
    key = f"{plan.cut}/{plan.level}"
    end_s = (device_s + it.device.encode[key].median_s) * stretch
    here_s = end_s + it.device.between_s(plan.cut, depth) * stretch
    latency_s = here_s
    if future.reachable and left < 1:
        size = c.bytes_mean[row] / c.sent_share[row] + FRAME_OVERHEAD_BYTES
        server_s = it.server.tail[plan.cut].median_s + it.server.decode[key].median_s
        latency_s = min(end_s + future.away_s(end_s, size, server_s), max(deadline_s, here_s))
    return total_s + (1 - left) * (latency_s + max(end_s - future.gap_s, 0.0))


def least_s(it: Any, objective: Objective, futures: list[Weather], *, alone: bool = False) -> float:
    floor = min(it.planner.accuracy_floor(objective), it.planner.candidates.accuracy.max())
    rows = np.flatnonzero(it.planner.candidates.accuracy >= floor - 1e-12)
    plans = [it.planner.plan_of(int(row)) for row in rows]
    if alone or not any(future.reachable for future in futures):
        plans = [plan for plan in plans if plan.level is None] or plans
    return min(sum(cost_s(it, p, f, objective.latest_s) for f in futures) for p in plans)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("drop", [0.0, 0.15])
@pytest.mark.parametrize("deadline_s", [0.04, None])
def test_it_is_the_best_of_all_that_are_accurate_enough(
    world: Callable[..., Any], seed: int, count: int, drop: float, deadline_s: float | None
) -> None:
    it = world(seed % 4, depth=4)
    objective = Objective(max_accuracy_drop=drop, deadline_s=deadline_s)
    futures = [rolled(100 * seed + at) for at in range(count)]
    for alone in (False, True):
        plan = best_foreseen(it.planner, objective, futures, alone=alone)
        found_s = sum(cost_s(it, plan, future, objective.latest_s) for future in futures)
        assert found_s == pytest.approx(least_s(it, objective, futures, alone=alone), rel=1e-9)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("gap_s", [0.0, 0.01, 0.03])
def test_who_waits_for_the_device_counts(
    world: Callable[..., Any], seed: int, gap_s: float
) -> None:
    it, objective = world(seed % 4, depth=4), Objective(max_accuracy_drop=0.15)
    futures = [rolled(seed, gap_s=gap_s)]
    plan = best_foreseen(it.planner, objective, futures)
    found_s = cost_s(it, plan, futures[0], math.inf)
    assert found_s <= least_s(it, objective, futures) * 1.02


def test_a_floor_that_no_plan_keeps_leaves_the_most_accurate(world: Callable[..., Any]) -> None:
    worlds = (world(seed, depth=2, exits=1) for seed in range(30))
    it = next(it for it in worlds if it.planner.candidates.accuracy.max() < 1)
    plan = best_foreseen(it.planner, Objective(min_accuracy=1.0), [rolled(0, reachable=True)])
    accuracy = it.planner.candidates.accuracy
    assert accuracy[it.planner.row_of(plan)] == accuracy.max()

"""The frontier and budgets against all thresholds tried one by one."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from offramp.errors import ConfigError, PlanError
from offramp.exits.policy import WATCHED
from offramp.guarantee import (
    CLOSED,
    Budget,
    Outcomes,
    deepest_within,
    spend,
    trace_frontier,
    trace_grid,
)

Floats = NDArray[np.float64]


def _drawn(
    exits: int, samples: int, seed: int, saves: bool = False, joined: bool = False
) -> Outcomes:
    dice = np.random.default_rng(seed)
    hard = dice.random(samples)
    right = np.stack([dice.random(samples) > hard ** (1 + e) for e in range(exits + 1)])
    scores = np.clip(1 - hard + dice.normal(0, 0.2, (exits, samples)), 0, 1).round(2)
    steps = dice.random(exits + 1)
    heads = steps[:-1] / 2 if saves else None
    joint = dice.random(samples) > hard ** (2 + exits) if joined else None
    return Outcomes(scores, right[:-1], right[-1], np.cumsum(steps), right[-1], heads, joint)


def _everything(outcomes: Outcomes) -> tuple[Floats, Floats]:
    """Return every vector of distinct scores, and (cost, accuracy, share sent) of each."""
    levels = [[0.0, *np.unique(scores), CLOSED] for scores in outcomes.scores]
    if outcomes.joint_right is not None:
        levels[-1].append(WATCHED)
    vectors = np.array(list(itertools.product(*levels)))
    brought = [
        (
            outcomes.mean_cost(row),
            outcomes.answers_right(row).mean(),
            (outcomes.places(row) == outcomes.exits).mean(),
        )
        for row in vectors
    ]
    return vectors, np.array(brought)


@settings(deadline=None, max_examples=20)
@given(
    exits=st.integers(1, 3),
    seed=st.integers(0, 10_000),
    most_sent=st.sampled_from([1.0, 0.5, 0.1]),
    saves=st.booleans(),
    joined=st.booleans(),
)
def test_no_thresholds_beat_the_frontier(
    exits: int, seed: int, most_sent: float, saves: bool, joined: bool
) -> None:
    outcomes = _drawn(exits, {1: 40, 2: 14, 3: 7}[exits], seed, saves, joined)
    _, tried = _everything(outcomes)
    allowed = tried[tried[:, 2] <= most_sent + 1e-9]
    frontier = trace_frontier(outcomes, most_sent)
    best: list[tuple[float, float]] = []
    for cost, accuracy, _ in sorted(allowed.tolist(), key=lambda row: (round(row[0], 9), -row[1])):
        if not best or accuracy > best[-1][1] + 1e-9:
            best.append((cost, accuracy))
    np.testing.assert_allclose(
        np.stack([frontier.mean_cost, frontier.accuracy], axis=1), np.array(best)
    )


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("saves", [False, True])
@pytest.mark.parametrize("most_vectors", [16, 200, 2_000_000])
def test_a_vector_brings_what_the_frontier_says(
    most_vectors: int, saves: bool, joined: bool
) -> None:
    outcomes = _drawn(4, 200, 5, saves, joined)
    frontier = trace_frontier(outcomes, most_vectors=most_vectors)
    assert (np.diff(frontier.mean_cost) > 0).all()
    assert (np.diff(frontier.accuracy) > 0).all()
    for at, row in enumerate(frontier.thresholds):
        assert outcomes.mean_cost(row) == pytest.approx(frontier.mean_cost[at])
        assert outcomes.answers_right(row).mean() == pytest.approx(frontier.accuracy[at])
        sent = (outcomes.places(row) == outcomes.exits).mean()
        assert sent == pytest.approx(frontier.sent_share[at])


def test_a_coarse_grid_is_exact_on_its_levels_and_then_refined() -> None:
    outcomes = _drawn(3, 60, 2)
    fine, coarse = trace_frontier(outcomes), trace_frontier(outcomes, most_vectors=125)
    steps = [
        np.unique(np.quantile(s, np.linspace(0, 1, 4), method="higher")) for s in outcomes.scores
    ]
    grid = itertools.product(*([0.0, *level[1:], CLOSED] for level in steps))
    for row in map(np.array, grid):
        cost, accuracy = outcomes.mean_cost(row), outcomes.answers_right(row).mean()
        assert _accuracy_at(coarse, cost) >= accuracy - 1e-9
    costs = np.linspace(outcomes.costs[0], outcomes.costs[-1], 50)
    short = [_accuracy_at(fine, c) - _accuracy_at(coarse, c) for c in costs]
    assert min(short) >= -1e-9
    assert np.mean(short) < 0.01


def _accuracy_at(frontier: object, cost: float) -> float:
    within = np.flatnonzero(frontier.mean_cost <= cost + 1e-9)  # type: ignore[attr-defined]
    return float(frontier.accuracy[within[-1]]) if within.size else 0.0  # type: ignore[attr-defined]


def test_moving_thresholds_helps_where_the_grid_is_coarse() -> None:
    """Ten exits have four steps each: at the same cost, the moves mend more than a point."""
    outcomes = _drawn(10, 300, 4)
    grid, moved = trace_grid(outcomes), trace_frontier(outcomes)
    costs = np.linspace(*np.quantile(outcomes.costs, [0.1, 0.6]), 20)
    gains = [_accuracy_at(moved, cost) - _accuracy_at(grid, cost) for cost in costs]
    assert min(gains) >= -1e-9
    assert np.mean(gains) > 0.01


def test_more_exits_than_can_be_set_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="21 exits are too many"):
        trace_frontier(_drawn(21, 5, 0))


def test_a_budget_that_all_samples_keep_by_rounding_changes_nothing() -> None:
    for seed in range(20):
        outcomes = replace(_drawn(1, 30, seed), costs=np.array([0.1, 0.7]))
        dear = float(outcomes.mean_cost(np.array([CLOSED])))
        for most in (0.7, dear):
            within = spend(outcomes, Budget(mean_cost=most))
            assert within.accuracy == spend(outcomes, Budget()).accuracy
        assert Budget(mean_cost=0.7).keeps(outcomes, np.array([[CLOSED]])).all()


def test_a_unit_changes_nothing() -> None:
    outcomes = _drawn(2, 30, 9)
    tiny = Outcomes(
        outcomes.scores,
        outcomes.exit_right,
        outcomes.final_right,
        outcomes.costs * 1e-9,
        outcomes.whole_right,
    )
    np.testing.assert_array_equal(
        trace_frontier(outcomes).thresholds, trace_frontier(tiny).thresholds
    )


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 10_000),
    mean_cost=st.sampled_from([0.4, 0.8, 1.2, math.inf]),
    sent_share=st.sampled_from([0.0, 0.3, 1.0]),
    deepest=st.sampled_from([0, 1, 2, None]),
)
def test_no_thresholds_within_the_budget_are_more_accurate(
    seed: int, mean_cost: float, sent_share: float, deepest: int | None
) -> None:
    outcomes = _drawn(2, 14, seed)
    vectors, tried = _everything(outcomes)
    within = (tried[:, 0] <= mean_cost) & (tried[:, 2] <= sent_share + 1e-9)
    if deepest is not None and deepest < 2:
        within &= vectors[:, deepest] == 0.0
    budget = Budget(mean_cost, sent_share, deepest)
    if not within.any():
        with pytest.raises(PlanError, match="no thresholds keep to a mean cost"):
            spend(outcomes, budget)
        return
    spent = spend(outcomes, budget)
    assert spent.accuracy == pytest.approx(tried[within, 1].max())
    assert spent.mean_cost == pytest.approx(outcomes.mean_cost(spent.thresholds))
    assert spent.accuracy == pytest.approx(outcomes.answers_right(spent.thresholds).mean())
    places = outcomes.places(spent.thresholds)
    assert spent.sent_share == pytest.approx((places == 2).mean())
    assert spent.mean_cost <= mean_cost
    if deepest is not None:
        assert places.max() <= deepest


def test_the_deepest_place_within_a_limit() -> None:
    assert deepest_within([1.0, 2.0, 4.0], 4.0) == 2
    assert deepest_within([1.0, 2.0, 4.0], 3.9) == 1
    assert deepest_within([1.0, 5.0, 4.0], 4.5) == 0
    with pytest.raises(PlanError, match="takes 1, above the limit of 0"):
        deepest_within([1.0, 2.0], 0.5)


def test_what_is_no_budget_is_refused() -> None:
    with pytest.raises(ConfigError, match="no budget"):
        Budget(mean_cost=math.nan)
    with pytest.raises(ConfigError, match="no budget"):
        Budget(sent_share=1.5)
    with pytest.raises(ConfigError, match="no exit 7"):
        spend(_drawn(2, 14, 0), Budget(deepest=7))

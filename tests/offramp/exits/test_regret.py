"""How far decisions are from the best ones, against trying all of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from offramp.errors import InputError
from offramp.exits import Evidence, FittedPolicy, get
from offramp.exits.regret import measure_regret, offload_rate, oracle_accuracy, oracle_rate

COSTS = np.array([1.0, 3.0, 10.0])


@pytest.mark.parametrize("seed", range(20))
def test_the_oracle_is_the_best_of_all_assignments(seed: int) -> None:
    dice = np.random.default_rng(seed)
    right = dice.random((3, 6)) < [[0.4], [0.5], [0.7]]
    limit = dice.uniform(1, 10)
    best = max(
        right[list(places), np.arange(6)].mean()
        for places in itertools.product(range(3), repeat=6)
        if COSTS[list(places)].mean() <= limit + 1e-9
    )
    assert oracle_accuracy(right, COSTS, limit) == pytest.approx(best)
    with pytest.raises(InputError, match="less than the first exit's"):
        oracle_accuracy(right, COSTS, 0.9)


def test_regret_is_what_the_oracle_gains_at_the_same_cost(evidence: Evidence) -> None:
    scores = FittedPolicy(get("confidence")).scores(evidence)
    found = measure_regret(evidence, scores, [0.8, 0.8, 0.8])
    assert found.regret > 0
    everyone_leaves = measure_regret(evidence, scores, [0.0, 2.0, 2.0])
    assert everyone_leaves.mean_cost == 10
    assert everyone_leaves.accuracy == evidence.right[0].mean()
    assert everyone_leaves.regret == 0


def test_the_least_sure_are_sent_until_the_accuracy_is_reached() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    exit_right = np.array([0, 1, 0, 1, 1], bool)
    tail_right = np.array([1, 0, 1, 1, 1], bool)
    for target, rate in ((0.6, 0.0), (0.8, 0.2), (0.81, None)):
        if rate is None:
            with pytest.raises(InputError, match=r"0\.8000 is the best"):
                offload_rate(scores, exit_right, tail_right, target)
        else:
            assert offload_rate(scores, exit_right, tail_right, target) == rate
    ties = np.array([0.1, 0.1, 0.1, 0.4, 0.5])
    assert offload_rate(ties, exit_right, tail_right, 0.8) == 0.6
    with pytest.raises(InputError, match="not finite"):
        offload_rate(scores * np.nan, exit_right, tail_right, 0.5)


def test_with_perfect_knowledge_each_sample_sent_puts_one_right(evidence: Evidence) -> None:
    here, tail = evidence.right[0], evidence.right[-1]
    target = here.mean() + 7 / len(evidence)
    assert oracle_rate(here, tail, target) == pytest.approx(7 / len(evidence))
    assert oracle_rate(here, tail, here.mean() - 0.1) == 0

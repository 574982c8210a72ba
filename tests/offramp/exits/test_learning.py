"""Gates, and what the policies that learn make of samples that they have not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from offramp.errors import InputError
from offramp.exits import POLICIES, Evidence, FittedPolicy, Truth
from offramp.exits.evidence import as_logits
from offramp.exits.gate import Gate, balanced_weights, fit_gate
from offramp.exits.policies import q_exit
from offramp.exits.policies.budget import budget_thresholds
from offramp.exits.regret import offload_rate, oracle_rate

LEARNED = ("q_exit", "learned_gate", "budget", "predicted_depth", "tail_fixes")


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """The chance that a positive has a higher score than a negative."""
    above = scores[positive][:, None] - scores[~positive]
    return float((above > 0).mean() + (above == 0).mean() / 2)


def test_a_gate_learns_what_a_hidden_layer_can_and_a_line_cannot() -> None:
    dice = np.random.default_rng(0)
    x = np.column_stack([dice.uniform(-1, 1, (600, 2)), np.full(600, 7.0)])
    ring = np.hypot(x[:, 0], x[:, 1]) < 0.75
    targets = np.eye(2)[ring.astype(int)]
    line, curved = fit_gate(x[:300], targets[:300]), fit_gate(x[:300], targets[:300], hidden=8)
    fresh = x[300:]
    assert auroc(line.probabilities(fresh)[:, 1], ring[300:]) < 0.65
    assert auroc(curved.probabilities(fresh)[:, 1], ring[300:]) > 0.97
    np.testing.assert_allclose(curved.probabilities(fresh).sum(axis=1), 1)
    back = Gate.read(curved.to_arrays("here"), "here")
    np.testing.assert_array_equal(back.probabilities(fresh), curved.probabilities(fresh))
    assert not curved.inner[2].any()  # a constant says nothing
    other = fit_gate(x[:300], targets[:300], hidden=8, seed=1)
    assert (other.inner != curved.inner).any()


def test_a_gate_without_features_that_tell_answers_with_the_shares() -> None:
    targets = np.eye(3)[[0] * 5 + [1] * 3 + [2] * 2]
    gate = fit_gate(np.ones((10, 2)), targets)
    np.testing.assert_allclose(gate.probabilities(np.ones((1, 2))), [[0.5, 0.3, 0.2]], atol=1e-3)
    weights = balanced_weights(np.array([0] * 5 + [1] * 3 + [2] * 2))
    even = fit_gate(np.ones((10, 2)), targets, weights=weights)
    np.testing.assert_allclose(even.probabilities(np.ones((1, 2))), [[1 / 3] * 3], atol=1e-3)


@pytest.mark.parametrize("name", LEARNED)
def test_what_was_learnt_beats_chance_on_samples_not_seen(
    name: str, fit: Callable[[str], FittedPolicy], fresh: Evidence
) -> None:
    scores = fit(name).scores(fresh)
    for at in range(2):
        helped = fresh.right[-1] & ~fresh.right[at]
        assert auroc(-scores[at], helped) > 0.6, at


@pytest.mark.parametrize("name", [name for name in POLICIES if POLICIES[name].min_samples > 1])
def test_too_few_samples_say_how_many_are_needed(name: str, evidence: Evidence) -> None:
    least = POLICIES[name].min_samples
    assert POLICIES[name].fit(evidence[:least])
    with pytest.raises(InputError, match=f"{least - 1} samples.*at least {least}"):
        POLICIES[name].fit(evidence[: least - 1])


def misled(seed: int, count: int) -> Evidence:
    """Two of four classes look alike to everybody; the tail tells the two others apart.

    So the exit's margin is small on both, and only between the second pair does going on help.
    """
    dice = np.random.default_rng(seed)
    labels = dice.integers(0, 4, count)
    pair = np.isin(np.arange(4)[None], [0, 1]) == (labels < 2)[:, None]
    noise = dice.normal(size=(count, 4))
    unsure = 4 * pair + noise + 0.8 * np.eye(4)[labels]
    sure = np.where((labels < 2)[:, None], unsure, unsure + 6 * np.eye(4)[labels])
    costs = np.array([1.0, 4.0])
    return Evidence((as_logits(unsure),), truth=Truth(labels, as_logits(sure), costs))


def test_tail_fixes_does_not_send_what_the_tail_cannot_put_right() -> None:
    fitted, test = misled(0, 1000), misled(1, 4000)
    exit_right, tail_right = test.right
    target = tail_right.mean() - 0.005
    rates = {
        name: offload_rate(
            POLICIES[name].score(test, POLICIES[name].fit(fitted)), exit_right, tail_right, target
        )
        for name in ("margin", "confidence", "entropy", "learned_gate", "budget", "tail_fixes")
    }
    ours = rates.pop("tail_fixes")
    assert ours < 0.6 * min(rates.values()), (ours, rates)
    assert ours > oracle_rate(exit_right, tail_right, target)


def test_tail_fixes_needs_no_labels(evidence: Evidence, fit: Callable[[str], FittedPolicy]) -> None:
    blind = replace(
        evidence, truth=replace(evidence.recorded, labels=evidence.recorded.labels[::-1])
    )
    learnt = POLICIES["tail_fixes"].fit(blind)
    for key, array in fit("tail_fixes").parameters.items():
        np.testing.assert_array_equal(array, learnt[key])


def test_the_slopes_of_q_exits_loss_are_its_differences() -> None:
    dice = np.random.default_rng(0)
    inputs = [dice.normal(size=(9, width)) for width in (2, 3)]
    heads = [dice.normal(size=width + 1) for width in (2, 3)]
    loss = dice.exponential(size=(3, 9))
    _, slopes = q_exit._loss(heads, inputs, loss)
    for at, head in enumerate(heads):
        for place in range(len(head)):
            step = np.zeros(len(head))
            step[place] = 1e-5
            sides = [[*heads[:at], head + s * step, *heads[at + 1 :]] for s in (1, -1)]
            up, down = (q_exit._loss(side, inputs, loss)[0] for side in sides)
            assert slopes[at][place] == pytest.approx((up - down) / 2e-5, abs=1e-6)


def test_a_budget_out_of_reach_is_refused(evidence: Evidence) -> None:
    scores = np.zeros((3, len(evidence)))
    for budget in (9.0, 61.0, float("nan")):
        with pytest.raises(InputError, match="choose one from 10 to 60"):
            budget_thresholds(scores, evidence, budget)

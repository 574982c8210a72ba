"""Each rule on a case that can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from offramp.exits import POLICIES, Evidence, Truth
from offramp.exits.evidence import as_logits
from offramp.exits.policies.budget import budget_thresholds
from offramp.tensors import Array

P = np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5], [1 / 3, 1 / 3, 1 / 3]])


def seen(*probabilities: Array, states: tuple[Array, ...] = ()) -> Evidence:
    return Evidence(tuple(as_logits(np.log(p)) for p in probabilities), states)


def score(name: str, evidence: Evidence, parameters: dict[str, Array] | None = None) -> Array:
    return POLICIES[name].score(evidence, parameters or {})


def test_confidence_margin_and_entropy() -> None:
    np.testing.assert_allclose(score("confidence", seen(P)), [0.7, 0.5, 1 / 3], atol=1e-6)
    np.testing.assert_allclose(score("margin", seen(P)), [0.5, 0.25, 0], atol=1e-6)
    entropy = -(0.7 * math.log(0.7) + 0.2 * math.log(0.2) + 0.1 * math.log(0.1)) / math.log(3)
    np.testing.assert_allclose(score("entropy", seen(P))[[0, 2]], [1 - entropy, 0], atol=1e-6)
    np.testing.assert_allclose(score("entropy", seen(np.array([[1.0, 1e-30]]))), [1], atol=1e-6)


def test_patience_counts_the_exits_that_agree_in_a_row() -> None:
    answers = np.array([[0, 0, 0, 0], [0, 0, 1, 1], [2, 1, 1, 0]])
    exits = [np.eye(3)[column] * 0.5 + 0.1 for column in answers.T]
    runs = [score("patience", seen(*exits[: at + 1])).tolist() for at in range(4)]
    assert np.allclose(runs, [[0, 0, 0], [1 / 2, 1 / 2, 0], [2 / 3, 0, 1 / 2], [3 / 4, 1 / 2, 0]])


def test_q_exit_cumulates_what_its_heads_say() -> None:
    heads = {
        f"{at}/{part}": np.zeros(size)
        for at, width in enumerate((2 + 3, 4 + 3))
        for part, size in (("shift", width), ("scale", width), ("head", width + 1))
    }
    heads["0/head"][-1], heads["1/head"][-1] = math.log(1 / 3), 0.0  # lambda 1/4, then 1/2
    state = np.ones((3, 2), np.float32)
    first = seen(P, states=(state,))
    np.testing.assert_allclose(score("q_exit", first, heads), [1 / 4] * 3)
    both = seen(P, P, states=(state, state))
    np.testing.assert_allclose(score("q_exit", both, heads), [1 - 3 / 4 * 1 / 2] * 3)


def test_budget_is_a_rank_and_window_a_distance_in_ranks() -> None:
    ranks = {"0/ranks": np.linspace(0.4, 0.9, 6)}
    at = np.column_stack([[0.39, 0.55, 0.95], [0.61, 0.45, 0.05]])
    at = np.column_stack([at, np.zeros(3) + 1e-30])
    confidence = at.max(axis=1)
    expected = [(ranks["0/ranks"] <= c).mean() for c in confidence]
    np.testing.assert_allclose(score("budget", seen(at), ranks), expected)
    distances = [abs(r - 0.2) / 0.8 for r in expected]
    np.testing.assert_allclose(score("window", seen(at), ranks), distances)


def test_similarity_is_a_cosine_and_norm_change_a_ratio() -> None:
    before = np.array([[1, 0], [1, 0], [3, 4]], np.float32)
    now = np.array([[2, 0], [0, 1], [-3, -4]], np.float32)
    both = seen(P, P, states=(before, now))
    np.testing.assert_allclose(score("similarity", both), [1, 0.5, 0], atol=1e-7)
    np.testing.assert_allclose(score("norm_change", both), [1 - 1 / 3, 1, 1], atol=1e-7)
    wider = np.array([[1, 0, 0, 1]] * 3, np.float32)
    onto = np.array([[0, 0, 0, 0], [0, 0, 0, 0], [2, 0, 0, 2]], float)
    one_more = seen(P, P, states=(before, wider))
    np.testing.assert_allclose(score("similarity", one_more, {"1/map": onto}), [1] * 3, atol=1e-7)
    for name in ("similarity", "norm_change"):
        assert score(name, both.upto(0)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", ["learned_gate", "tail_fixes", "predicted_depth"])
def test_a_gate_without_weights_says_what_its_biases_say(name: str) -> None:
    width = {"learned_gate": 4, "tail_fixes": 3 + 3 + 3 + 3, "predicted_depth": 2}[name]
    gate = {"outer": np.zeros((width + 1, 2)), "inner": np.zeros((width + 1, 0))}
    gate["outer"][-1] = math.log(1), math.log(3)
    prefix = "depth" if name == "predicted_depth" else "0"
    first = Evidence(seen(P).logits, summary=np.ones((3, 2), np.float32))
    expected = {"learned_gate": 3 / 4, "tail_fixes": 1 / 4, "predicted_depth": 1 / 4}[name]
    parameters = {f"{prefix}/{key}": array for key, array in gate.items()}
    np.testing.assert_allclose(score(name, first, parameters), [expected] * 3)


def test_the_oracle_keeps_whom_going_on_does_not_help() -> None:
    exit_right, tail_right = [1, 1, 0, 0], [1, 0, 1, 0]
    labels = np.zeros(4, int)
    logits = [
        np.array([[r, 1 - r] for r in right], np.float32) for right in (exit_right, tail_right)
    ]
    evidence = Evidence((logits[0],), truth=Truth(labels, logits[1], np.array([1.0, 2.0])))
    assert score("oracle", evidence).tolist() == [0.5, 1, 0, 0.5]


def test_the_budget_is_met_and_exponential_weights_are_followed() -> None:
    dice = np.random.default_rng(0)
    count, costs = 1000, np.array([10.0, 30.0, 100.0])
    labels = np.zeros(count, int)
    logits = [
        np.where((dice.random(count) < share)[:, None], [1.0, 0.0], [0.0, 1.0]).astype(np.float32)
        for share in (0.7, 0.8, 0.9)
    ]
    evidence = Evidence(tuple(logits[:2]), truth=Truth(labels, logits[2], costs))
    scores = dice.random((2, count))
    for budget in (10.0, 25.0, 60.0, 100.0):
        thresholds = budget_thresholds(scores, evidence, budget)
        first, second = scores[0] >= thresholds[0], scores[1] >= thresholds[1]
        spent = np.where(first, 10.0, np.where(second, 30.0, 100.0)).mean()
        assert spent == pytest.approx(budget, abs=0.2)
    thresholds = budget_thresholds(scores, evidence, 60.0, beta=0.0)
    shares = np.array([np.mean(scores[0] >= thresholds[0]), 0, 0])
    shares[1] = np.mean((scores[0] < thresholds[0]) & (scores[1] >= thresholds[1]))
    shares[2] = 1 - shares.sum()
    steps = np.diff(np.log(shares)) / np.diff(costs)  # pi ~ exp(-lambda cost)
    assert steps[0] == pytest.approx(steps[1], rel=0.05)

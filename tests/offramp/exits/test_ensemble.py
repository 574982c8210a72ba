"""Ensembles: found where exit and end err apart, with the weights of the least loss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.bundle import Ensemble
from offramp.exits.ensemble import combine, fit_ensemble
from offramp.exits.temperature import negative_log_likelihood

CLASSES = 5


def said(labels: np.ndarray, skill: float, seed: int) -> np.ndarray:
    """Return noisy logits that know the labels more or less, and are too sure of it."""
    noise = np.random.default_rng(seed).normal(size=(len(labels), CLASSES))
    return (3 * (skill * np.eye(CLASSES)[labels] + noise)).astype(np.float32)


def drawn(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, CLASSES, samples)


def test_two_that_err_apart_are_better_together_on_samples_that_fitted_nothing() -> None:
    labels, others = drawn(2000), drawn(5000, 1)
    ensemble = fit_ensemble(said(labels, 1.5, 2), said(labels, 2.0, 3), labels)
    assert ensemble is not None
    exit_logits, end_logits = said(others, 1.5, 4), said(others, 2.0, 5)
    alone = (end_logits.argmax(1) == others).mean()
    both = (combine(ensemble, exit_logits, end_logits).argmax(1) == others).mean()
    assert both > alone + 0.05
    # Of logits with equal noise, the log-likelihood weighs each by its signal.
    assert ensemble.exit / ensemble.end == pytest.approx(1.5 / 2.0, rel=0.1)


def test_the_weights_are_those_of_the_least_loss() -> None:
    labels = drawn(300)
    exit_logits, end_logits = said(labels, 1.5, 2), said(labels, 2.0, 3)
    found = fit_ensemble(exit_logits, end_logits, labels)
    assert found is not None

    def loss(weight: float, other: float) -> float:
        both = combine(Ensemble(exit=weight, end=other), exit_logits, end_logits)
        return negative_log_likelihood(both, labels)

    grid = np.linspace(0.01, 1.5, 60)
    best = min(loss(a, b) for a in grid for b in grid)
    assert loss(found.exit, found.end) <= best + 1e-6


@pytest.mark.parametrize("seed", range(5))
def test_an_exit_that_knows_nothing_of_its_own_is_left_alone(seed: int) -> None:
    labels = drawn(1000, seed)
    end_logits = said(labels, 2.0, seed + 10)
    assert fit_ensemble(end_logits, end_logits, labels) is None
    assert fit_ensemble(said(labels, 0.0, seed + 20), end_logits, labels) is None


def test_a_few_samples_are_no_reason() -> None:
    labels = drawn(19)
    assert fit_ensemble(said(labels, 1.5, 2), said(labels, 1.5, 3), labels) is None


@settings(max_examples=30, deadline=None)
@given(shift=st.floats(-50, 50), weights=st.tuples(st.floats(0.1, 10), st.floats(0, 10)))
def test_a_constant_in_all_logits_changes_no_answer(
    shift: float, weights: tuple[float, float]
) -> None:
    ensemble = Ensemble(exit=weights[0], end=weights[1])
    labels = drawn(50)
    exit_logits, end_logits = said(labels, 1.0, 2).round(2), said(labels, 2.0, 3).round(2)
    plain = combine(ensemble, exit_logits, end_logits)
    moved = combine(ensemble, exit_logits + np.float64(shift), end_logits)
    np.testing.assert_allclose(moved - plain, weights[0] * shift, atol=1e-6)
    np.testing.assert_array_equal(moved.argmax(1), plain.argmax(1))
    one = combine(ensemble, exit_logits[7], end_logits[7])
    np.testing.assert_array_equal(one, plain[7])

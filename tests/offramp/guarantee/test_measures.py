"""Measures of an exit against scikit-learn, pairs counted one by one, and what must hold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from offramp.errors import InputError
from offramp.guarantee import auroc, brier, calibration_error

COUNT = 30
SCORES = arrays(np.float64, COUNT, elements=st.sampled_from([0.0, 0.2, 0.5, 0.51, 0.9, 1.0]))
RIGHT = arrays(np.bool_, COUNT)


@settings(deadline=None, max_examples=50)
@given(scores=SCORES, right=RIGHT)
def test_measures_are_those_of_scikit_learn(scores: Any, right: Any) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    assert brier(scores, right) == pytest.approx(np.square(scores - right).sum() / COUNT)
    if 0 < right.sum() < COUNT:
        assert brier(scores, right) == pytest.approx(metrics.brier_score_loss(right, scores))
        assert auroc(scores, right) == pytest.approx(metrics.roc_auc_score(right, scores))
    else:
        assert math.isnan(auroc(scores, right))


def test_ties_count_half() -> None:
    scores = np.array([0.5, 0.5, 0.9, 0.1])
    right = np.array([True, False, True, False])
    # Of the four pairs of a right and a wrong answer, three are in order and one is tied.
    assert auroc(scores, right) == pytest.approx(3.5 / 4)


def test_bins_hold_as_many_samples_each() -> None:
    scores = np.array([0.1, 0.9, 0.2, 0.8])
    right = np.array([False, True, True, False])
    # Two bins: {0.1, 0.2} of accuracy 1/2 and {0.8, 0.9} of accuracy 1/2; both are off by 0.35.
    assert calibration_error(scores, right, bins=2) == pytest.approx(0.35)
    assert calibration_error(scores, right, bins=1) == pytest.approx(0.0)
    assert calibration_error(scores, right, bins=99) == pytest.approx((0.1 + 0.1 + 0.8 + 0.8) / 4)


def test_probabilities_that_are_right_have_a_small_error() -> None:
    dice = np.random.default_rng(4)
    scores = dice.random(100_000)
    right = dice.random(100_000) < scores
    assert calibration_error(scores, right) < 0.01
    assert calibration_error(scores**3, right) > 0.2
    assert auroc(scores, right) == pytest.approx(auroc(scores**3, right))


@pytest.mark.parametrize(
    ("scores", "right"),
    [
        (np.array([]), np.array([], bool)),
        (np.array([0.5]), np.array([True, False])),
        (np.array([np.nan]), np.array([True])),
        (np.array([1.5]), np.array([True])),
    ],
)
def test_what_is_no_score_is_refused(scores: Any, right: Any) -> None:
    for measure in (auroc, brier, calibration_error):
        with pytest.raises(InputError, match="score"):
            measure(scores, right)

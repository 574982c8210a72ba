"""Thresholds and temperatures."""

from __future__ import annotations

import numpy as np
import pytest

from offramp.errors import InputError
from offramp.exits import first_exit, fit_temperature, softmax
from offramp.exits.temperature import negative_log_likelihood


def test_the_first_exit_that_is_sure_wins() -> None:
    scores = [np.array([0.9, 0.1, 0.1]), np.array([0.9, 0.8, 0.1])]
    assert first_exit(scores, [0.9, 0.5]).tolist() == [0, 1, 2]
    assert first_exit(scores, [2.0, 0.5]).tolist() == [1, 1, 2]
    with pytest.raises(ValueError, match="no exits"):
        first_exit([], [])
    assert first_exit([np.array([np.nan])], [0.0]).tolist() == [1]


@pytest.mark.parametrize("true", [0.05, 0.3, 1.0, 4.0, 20.0])
def test_the_temperature_is_the_best_of_a_fine_grid(true: float) -> None:
    dice = np.random.default_rng(3)
    logits = dice.normal(size=(400, 5)) * 3
    labels = np.array([dice.choice(5, p=p) for p in softmax(logits, true)])
    found = fit_temperature(logits.astype(np.float32), labels)
    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 2001))
    losses = [negative_log_likelihood(logits.astype(np.float32), labels, t) for t in grid]
    assert found == pytest.approx(grid[int(np.argmin(losses))], rel=4e-3)
    assert 0.05 <= found <= 20


def test_extreme_and_broken_logits() -> None:
    assert softmax(np.array([1e4, -1e4])).tolist() == [1.0, 0.0]
    labels = np.array([0, 1])
    assert fit_temperature(np.eye(2) * 1e4, labels) >= 0.05
    assert fit_temperature(-np.eye(2), labels) == pytest.approx(20)
    for broken in (np.nan, np.inf):
        with pytest.raises(InputError, match="not finite"):
            fit_temperature(np.full((2, 2), broken), labels)

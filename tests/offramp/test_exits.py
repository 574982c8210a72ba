"""Exit policies, thresholds, temperatures."""

from __future__ import annotations

import pkgutil
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import offramp.exits as package
from offramp import exits
from offramp.errors import ConfigError, InputError
from offramp.exits import first_exit, fit_temperature, softmax
from offramp.exits.temperature import negative_log_likelihood

COUNT, CLASSES = 7, 4
LOGITS = arrays(np.float32, (2, COUNT, CLASSES), elements=st.floats(-50, 50, width=32))
TEMPERATURE = st.floats(0.05, 20)
THRESHOLD = st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0, 2.0])


@pytest.mark.parametrize("name", exits.POLICIES)
@settings(deadline=None, max_examples=50)
@given(logits=LOGITS, temperatures=st.tuples(TEMPERATURE, TEMPERATURE), thresholds=st.data())
def test_one_sample_at_a_time_decides_as_all_at_once(
    name: str, logits: Any, temperatures: tuple[float, float], thresholds: st.DataObject
) -> None:
    rule = exits.get(name)
    drawn = [thresholds.draw(THRESHOLD) for _ in logits]
    scores = [rule.score(logits[: e + 1], temperatures[: e + 1]) for e in range(2)]
    together = first_exit(scores, drawn)
    for at in range(COUNT):
        alone = next(
            (
                e
                for e in range(2)
                if rule.score(logits[: e + 1, at : at + 1], temperatures[: e + 1])[0] >= drawn[e]
            ),
            2,
        )
        assert together[at] == alone
    for score in scores:
        assert score.shape == (COUNT,)
        assert ((score >= 0) & (score <= 1)).all()
    again = [rule.score(logits[: e + 1], temperatures[: e + 1]) for e in range(2)]
    np.testing.assert_array_equal(scores, again)


@pytest.mark.parametrize("name", exits.POLICIES)
@settings(deadline=None, max_examples=50)
@given(logits=LOGITS, lower=st.floats(0, 1), higher=st.floats(0, 1))
def test_a_higher_threshold_lets_no_more_samples_leave(
    name: str, logits: Any, lower: float, higher: float
) -> None:
    scores = [exits.get(name).score(logits[:1], [1.0])]
    lower, higher = sorted((lower, higher))
    stays_low, stays_high = first_exit(scores, [lower]), first_exit(scores, [higher])
    assert (stays_low <= stays_high).all()
    assert (first_exit(scores, [0.0]) == 0).all()
    assert (first_exit(scores, [1.0001]) == 1).all()


def test_confidence_is_the_largest_probability() -> None:
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]))
    np.testing.assert_allclose(exits.get("confidence").score([logits], [1.0]), [0.7, 0.5])
    np.testing.assert_allclose(softmax(logits, 2.0).sum(axis=-1), 1)


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


def test_every_policy_is_registered() -> None:
    files = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert files - {"heads", "policy", "temperature"} == set(exits.POLICIES)
    for name, policy in exits.POLICIES.items():
        assert policy.name == name
        assert exits.get(name) is policy
    with pytest.raises(ConfigError, match=r"unheard.*confidence"):
        exits.get("unheard")

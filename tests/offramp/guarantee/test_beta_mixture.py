"""The Beta mixture: what was drawn is found again, in any order and with constant memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from offramp.errors import ConfigError
from offramp.guarantee import BetaMixture

DRAWN = st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=80)


def _seen(samples: list[tuple[float, bool]], target: float = 0.8) -> BetaMixture:
    mixture = BetaMixture(target, initial=0.77)
    for score, agrees in samples:
        mixture.observe(score, agrees)
    return mixture


def _mixed(count: int) -> list[tuple[float, bool]]:
    """Seven tenths agree, from Beta(8, 2); the others are from Beta(3, 4)."""
    dice = np.random.default_rng(0)
    agrees = dice.random(count) < 0.7
    scores = np.where(agrees, dice.beta(8, 2, count), dice.beta(3, 4, count))
    return list(zip(scores.tolist(), agrees.tolist(), strict=True))


def test_the_threshold_is_that_of_the_true_mixture() -> None:
    grid = np.linspace(0.001, 0.999, 999)
    same, other = 0.7 * beta.pdf(grid, 8, 2), 0.3 * beta.pdf(grid, 3, 4)
    chances = same / (same + other)
    mixture = _seen(_mixed(20_000))
    found = mixture.chance_to_agree()
    assert found is not None
    assert np.abs(found - chances)[200:].max() < 0.03
    true = grid[np.flatnonzero(chances <= 0.8)[-1] + 1]
    assert mixture.threshold() == pytest.approx(true, abs=0.02)


def test_what_leaves_by_it_agrees_as_often_as_asked_or_more() -> None:
    threshold = _seen(_mixed(20_000)).threshold()
    fresh = [agrees for score, agrees in _mixed(30_000)[20_000:] if score >= threshold]
    assert np.mean(fresh) > 0.8


def test_a_higher_target_leaves_no_earlier() -> None:
    thresholds = [_seen(_mixed(500), target).threshold() for target in (0.4, 0.6, 0.8, 0.95)]
    assert thresholds == sorted(thresholds)
    assert thresholds[0] < thresholds[-1]


def test_until_enough_of_both_were_seen_the_first_threshold_stands() -> None:
    agreeing = [(0.9, True)] * 500
    assert _seen(agreeing).threshold() == 0.77
    assert _seen([*agreeing, *[(0.3, False)] * 9]).threshold() == 0.77
    assert 0.3 < _seen([*agreeing, *[(0.3, False)] * 10]).threshold() < 0.9


def test_scores_that_tell_nothing_close_the_exit() -> None:
    alike = [(score, bool(at % 2)) for at, score in enumerate(np.repeat([0.2, 0.5, 0.7], 40))]
    assert _seen(alike, target=0.9).threshold() > 1


@settings(deadline=None)
@given(DRAWN)
def test_whatever_comes_a_threshold_follows_and_order_does_not_matter(
    samples: list[tuple[float, bool]],
) -> None:
    there, back = (_seen(drawn).chance_to_agree() for drawn in (samples, samples[::-1]))
    assert (there is None) == (back is None)
    assert 0 < _seen(samples).threshold() <= 2
    if there is not None and back is not None:
        assert ((there >= 0) & (there <= 1)).all()
        np.testing.assert_allclose(there, back, atol=1e-4)


def test_what_is_no_target_is_refused() -> None:
    for target, initial in ((0.0, 0.9), (1.0, 0.9), (0.5, -1.0), (np.nan, 0.9)):
        with pytest.raises(ConfigError, match="target"):
            BetaMixture(target, initial)

"""The Beta mixture: what was drawn is found again, and what is long ago is forgotten."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import beta

from offramp.errors import ConfigError
from offramp.guarantee import BetaMixture

DRAWN = st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=80)
GRID = np.linspace(0.001, 0.999, 999)

Samples = list[tuple[float, bool]]


def _seen(samples: Samples, memory: float = math.inf, weight: float = 1.0) -> BetaMixture:
    mixture = BetaMixture(memory)
    for score, agrees in samples:
        mixture.observe(score, agrees, weight)
    return mixture


def _threshold(mixture: BetaMixture, target: float = 0.8) -> float:
    found = mixture.threshold(target)
    assert found is not None
    return found


def _chances(mixture: BetaMixture) -> NDArray[np.float64]:
    found = mixture.chances()
    assert found is not None
    return found


def _mixed(count: int, seed: int = 0, worst: float = 3.0) -> Samples:
    """Seven tenths agree, from Beta(8, 2); the others are from Beta(worst, 4)."""
    dice = np.random.default_rng(seed)
    agrees = dice.random(count) < 0.7
    scores = np.where(agrees, dice.beta(8, 2, count), dice.beta(worst, 4, count))
    return list(zip(scores.tolist(), agrees.tolist(), strict=True))


def test_the_threshold_is_that_of_the_true_mixture() -> None:
    same, other = 0.7 * beta.pdf(GRID, 8, 2), 0.3 * beta.pdf(GRID, 3, 4)
    chances = same / (same + other)
    mixture = _seen(_mixed(20_000))
    assert np.abs(_chances(mixture) - chances)[200:].max() < 0.03
    true = GRID[np.flatnonzero(chances <= 0.8)[-1] + 1]
    assert _threshold(mixture) == pytest.approx(true, abs=0.02)
    assert mixture.chance_from(_threshold(mixture)) == pytest.approx(0.8, abs=0.01)


def test_what_leaves_by_it_agrees_as_often_as_asked_or_more() -> None:
    threshold = _threshold(_seen(_mixed(20_000)))
    fresh = [agrees for score, agrees in _mixed(10_000, seed=1) if score >= threshold]
    assert np.mean(fresh) > 0.8


def test_a_wide_spread_of_what_agrees_does_not_open_the_exit_to_the_unsure() -> None:
    """The density of Beta(1.2, 0.8) ends above that of Beta(8, 12) at both ends."""
    dice = np.random.default_rng(0)
    wide = [(score, True) for score in dice.beta(1.2, 0.8, 4000).tolist()]
    narrow = [(score, False) for score in dice.beta(8, 12, 4000).tolist()]
    assert _threshold(_seen(wide + narrow), 0.7) > 0.5


def test_a_higher_target_leaves_no_earlier() -> None:
    mixture = _seen(_mixed(500))
    thresholds = [_threshold(mixture, target) for target in (0.4, 0.6, 0.8, 0.95)]
    assert thresholds == sorted(thresholds)
    assert thresholds[0] < thresholds[-1]


def test_until_enough_of_both_were_seen_nothing_is_known() -> None:
    agreeing = [(0.9, True)] * 500
    for few in (agreeing, [*agreeing, *[(0.3, False)] * 9], [*agreeing, *[(math.nan, False)] * 99]):
        assert _seen(few).threshold(0.8) is None
        assert _seen(few).chance_from(0.8) is None
    assert 0.3 < _threshold(_seen([*agreeing, *[(0.3, False)] * 10])) < 0.9


def test_scores_that_tell_nothing_close_the_exit() -> None:
    alike = [(score, bool(at % 2)) for at, score in enumerate(np.repeat([0.2, 0.5, 0.7], 40))]
    assert _threshold(_seen(alike), 0.9) > 1


def test_recorded_samples_are_the_same_as_samples_one_by_one() -> None:
    samples = [*_mixed(300), (math.nan, True)]
    scores, agrees = np.array([s for s, _ in samples]), np.array([a for _, a in samples])
    once = _chances(BetaMixture.fitted(scores, agrees))
    np.testing.assert_allclose(once, _chances(_seen(samples)), rtol=1e-9)
    few = _chances(BetaMixture.fitted(scores, agrees, memory=100))
    np.testing.assert_allclose(once, few, atol=1e-9)


def test_a_weight_stands_for_so_many_samples() -> None:
    repeated = [sample for sample in _mixed(200) for _ in range(5)]
    heavy = _chances(_seen(_mixed(200), weight=5.0))
    np.testing.assert_allclose(heavy, _chances(_seen(repeated)), rtol=1e-9)


def test_what_is_long_ago_is_forgotten() -> None:
    after = _seen([*_mixed(4000), *_mixed(4000, seed=1, worst=12)], memory=500)
    alone = _seen(_mixed(4000, seed=1, worst=12), memory=500)
    assert _threshold(after) == pytest.approx(_threshold(alone), abs=0.01)
    assert _threshold(after) > _threshold(_seen(_mixed(4000), memory=500)) + 0.1


def test_a_kind_that_is_no_longer_seen_is_not_held_to_be_impossible() -> None:
    agreeing = [(score, True) for score, _ in _mixed(20_000, seed=1)]
    mixture = _seen([*_mixed(4000), *agreeing], memory=100)
    assert 0.5 < _chances(mixture)[300] < 0.999
    assert _threshold(mixture, 0.9) < _threshold(_seen(_mixed(4000)), 0.9) - 0.2


@settings(deadline=None)
@given(DRAWN, st.sampled_from([10.0, math.inf]))
def test_whatever_comes_chances_rise_with_the_score(samples: Samples, memory: float) -> None:
    mixture = _seen(samples, memory)
    chances = mixture.chances()
    if chances is not None:
        assert ((chances >= 0) & (chances <= 1)).all()
        assert (np.diff(chances) >= 0).all()
        assert 0 < _threshold(mixture) <= 2


@settings(deadline=None)
@given(DRAWN)
def test_what_is_remembered_for_ever_has_no_order(samples: Samples) -> None:
    there, back = (_seen(drawn).chances() for drawn in (samples, samples[::-1]))
    assert (there is None) == (back is None)
    if there is not None and back is not None:
        np.testing.assert_allclose(there, back, atol=1e-4)


@pytest.mark.parametrize("memory", [0.0, -1.0, math.nan])
def test_what_is_no_memory_is_refused(memory: float) -> None:
    with pytest.raises(ConfigError, match="memory"):
        BetaMixture(memory)

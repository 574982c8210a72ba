"""Steps against what theory says, for tails whose weights are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.codecs.effect import Effect
from offramp.codecs.planes import Planes
from offramp.codecs.steps import find_scale, relative_steps


def linear_effect(gains, deviations, axis=0):
    """Return the effect of a linear tail: answers hang on each channel by its gain."""
    count = len(gains)
    scales = np.array(deviations)[:, None, None]
    samples = np.random.default_rng(0).normal(size=(64, count, 6, 6)) * scales
    samples = samples.astype("float32")

    def change(changed):
        error = np.square(np.moveaxis(changed, axis + 1, 1) - samples[: len(changed)])
        return float((np.square(gains)[:, None, None] * error).sum(1).mean())

    return Effect(np.moveaxis(samples, 1, axis + 1), change, 32)


@pytest.mark.parametrize("axis", [0, 2])
def test_steps_are_inverse_to_the_root_of_each_channels_weight(axis) -> None:
    gains = np.array([2, 0.7, 1, 0.5, 1.4])
    effect = linear_effect(gains, [1, 1.5, 2, 0.9, 3], axis)
    planes = Planes(effect.samples.shape[1:], axis)
    np.testing.assert_allclose(relative_steps(effect, planes), 1 / gains, rtol=1e-4)


def test_no_other_steps_of_the_same_rate_change_the_answers_less() -> None:
    """Reverse water-filling: with w e = w step ** 2 / 12 and rate -log2(step)."""
    gains = np.array([2, 0.7, 1, 0.5, 1.4])
    steps = relative_steps(linear_effect(gains, np.ones(5)), Planes((5, 6, 6), 0))
    least = (gains**2 * steps**2).sum()
    rng = np.random.default_rng(1)
    for _ in range(200):
        turn = rng.normal(size=5) * rng.choice([0.01, 0.3])
        other = steps * np.exp(turn - turn.mean())
        assert (gains**2 * other**2).sum() >= least * (1 - 1e-6)


def test_a_channel_that_the_tail_ignores_gets_the_coarsest_step() -> None:
    gains, deviations = np.array([1, 0, 1, 4]), np.ones(4)
    steps = relative_steps(linear_effect(gains, deviations), Planes((4, 6, 6), 0))
    assert steps[1] > 4 * steps[0]
    assert steps[3] == pytest.approx(steps[0] / 4, rel=1e-3)
    assert np.isfinite(steps).all()


def test_like_channels_beyond_the_groups_share_a_step() -> None:
    """Thirty channels of two deviations: tried together, and weighed alike."""
    deviations = np.where(np.arange(30) % 5 == 0, 9.0, 1.0)
    gains = np.where(np.arange(30) % 5 == 0, 0.2, 1.0)
    steps = relative_steps(linear_effect(gains, deviations), Planes((30, 6, 6), 0))
    np.testing.assert_allclose(steps, 1 / gains, rtol=0.02)


@pytest.mark.parametrize("level", [0.0, 2.0])
def test_dead_channels_and_constants_have_steps(level) -> None:
    samples = np.full((8, 3, 4, 4), level, "float32")
    samples[:, 1] += np.random.default_rng(0).normal(size=(8, 4, 4)) * (level > 0)
    effect = Effect(samples, lambda changed: float(np.square(changed - samples).mean()), 8)
    steps = relative_steps(effect, Planes((3, 4, 4), 0))
    assert (np.isfinite(steps) & (steps > 0)).all()


def test_steps_are_measured_once() -> None:
    asked, effect = [], linear_effect(np.ones(3), np.ones(3))
    counted = Effect(effect.samples, lambda one: asked.append(1) or effect.change(one), 8)
    first = relative_steps(counted, Planes((3, 6, 6), 0))
    often = len(asked)
    assert relative_steps(counted, Planes((3, 6, 6), 0)) is first
    assert len(asked) == often == 3


@given(
    power=st.floats(0.5, 4),
    factor=st.floats(1e-3, 1e3),
    allowed=st.floats(1e-4, 0.3),
    start=st.floats(1e-3, 1e3),
)
def test_scale_of_a_power_law(power, factor, allowed, start) -> None:
    wanted = (allowed / factor) ** (1 / power)
    start = min(max(start, wanted / 1e3), wanted * 1e3)
    found = find_scale(lambda scale: factor * scale**power, allowed, start, 1e12)
    assert factor * found**power == pytest.approx(allowed, rel=0.5)


@pytest.mark.parametrize("allowed", [0.002, 0.05, 0.5, 0.9])
@pytest.mark.parametrize("start", [1e-3, 1, 100])
def test_scale_of_a_change_that_saturates(allowed, start) -> None:
    def change_at(scale):
        return scale**2 / (1 + scale**2)

    found = find_scale(change_at, allowed, start, 1e4)
    assert 0.3 * allowed < change_at(found) < 1.1 * allowed


def test_scale_is_the_largest_if_nothing_changes_enough() -> None:
    assert find_scale(lambda scale: 0.0, 0.01, 0.1, 1e3) == 1e3
    assert find_scale(lambda scale: 0.0, 0.01, 0.1, 1e-3) == 1e-3


def test_search_ends_if_everything_changes_too_much() -> None:
    asked = []
    found = find_scale(lambda scale: asked.append(scale) or 5.0, 0.01, 1.0, 1e3)
    assert len(asked) <= 8
    assert 0 < found < 1e-4

"""How effects are asked, and what the one without a tail says."""

import numpy as np
import pytest

from offramp.codecs.effect import Effect, square_error


def test_an_effect_looks_at_as_many_samples_as_are_enough() -> None:
    seen = []
    effect = Effect(np.zeros((9, 2), "float32"), lambda changed: float(len(changed)), 4)
    assert effect.of(lambda some: seen.append(some.shape) or some) == 4
    assert seen == [(4, 2)]


def test_what_several_ask_for_is_found_once() -> None:
    effect, asked = square_error(np.ones((2, 2), "float32")), []
    for key in ("a", "b", "a"):
        effect.remember(key, lambda key=key: asked.append(key) or np.ones(1))
    assert asked == ["a", "b"]
    other = square_error(np.ones((2, 2), "float32"))
    other.remember("a", lambda: asked.append("other") or np.ones(1))
    assert asked[-1] == "other"


def test_square_error_is_relative_to_the_mean_square() -> None:
    samples = np.random.default_rng(0).normal(3, 1, (50, 4)).astype("float32")
    effect = square_error(samples)
    assert effect.count == 32
    assert effect.of(lambda some: some) == 0
    assert effect.change(0 * samples) == pytest.approx(1)
    assert effect.change(1.1 * samples[:50]) == pytest.approx(0.01, rel=1e-4)


def test_square_error_of_zeros_is_finite() -> None:
    effect = square_error(np.zeros((3, 4), "float32"))
    assert effect.of(lambda some: some) == 0
    assert np.isfinite(effect.of(lambda some: some + 1))

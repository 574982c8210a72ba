"""Coarse quantisers: their levels against a search over all, and what their payloads may be."""

import itertools
import math

import numpy as np
import pytest

from offramp import codecs
from offramp.codecs.coarse_levels import find_levels
from offramp.codecs.effect import Effect, square_error
from offramp.errors import ConfigError, FrameError, InputError
from offramp.tensors import TensorSpec

SHAPE = (8, 6, 6)
SPEC = TensorSpec("x", "float32", SHAPE)


def relu_features(count: int, seed: int = 0):
    rough = np.random.default_rng(seed).normal(size=(count, *SHAPE))
    smooth = rough + np.roll(rough, 1, -1) + np.roll(rough, 1, -2)
    return np.maximum(smooth - 0.5, 0).astype("float32")


def fitted(name: str, samples):
    return codecs.get(name).fit(samples, square_error(samples))


@pytest.fixture(scope="module")
def features():
    return relu_features(120)


@pytest.fixture(scope="module")
def coarse4(features):
    return fitted("coarse4", features)


def cost(values, levels, thresholds, weight: float) -> float:
    """Return mean square error plus ``weight`` times the order-0 entropy in bits."""
    index = np.searchsorted(thresholds, values, side="right")
    shares = np.bincount(index, minlength=len(levels)) / len(values)
    entropy = -sum(share * math.log2(share) for share in shares if share)
    return float(np.square(values - levels[index]).mean()) + weight * entropy


@pytest.mark.parametrize("bit_cost", [0.0, 0.03, 0.06])
def test_levels_are_about_the_best_of_all(bit_cost) -> None:
    values = np.random.default_rng(3).exponential(size=2000)
    high, grid = 4.0, np.linspace(0, 4, 41)
    clipped, weight = np.clip(values, 0, high), bit_cost * (high / 2) ** 2
    levels, thresholds = find_levels(values, (0.0, high), 3, bit_cost)
    best = min(
        cost(clipped, np.array([0, level, high]), np.array([low, upper]), weight)
        for level in grid[1:-1]
        for low, upper in itertools.combinations(grid, 2)
    )
    assert cost(clipped, levels, thresholds, weight) <= 1.02 * best


def test_the_ends_are_pinned_and_bits_widen_the_first_level() -> None:
    values = np.random.default_rng(4).exponential(size=5000)
    firsts = []
    for bit_cost in (0.0, 0.05, 0.2):
        levels, thresholds = find_levels(values, (0.0, 5.0), 6, bit_cost)
        assert (levels[0], levels[-1]) == (0.0, 5.0)
        assert (np.diff(levels) >= 0).all()
        assert (np.diff(thresholds) >= 0).all()
        firsts.append(thresholds[0])
    assert firsts == sorted(firsts)
    assert firsts[-1] > 1.2 * firsts[0]


def test_values_that_leave_levels_empty_do_no_harm() -> None:
    for values in (np.zeros(50), np.full(50, 7.0), np.array([0.0, 1.0])):
        levels, thresholds = find_levels(values, (0.0, 1.0), 8, 0.1)
        assert np.isfinite(levels).all()
        assert np.isfinite(thresholds).all()


@pytest.mark.parametrize("name", ["coarse8", "coarse6", "coarse4", "coarse3", "coarse2"])
def test_few_levels_zero_among_them_and_fewer_bits_than_order_0(name, features) -> None:
    codec, fresh = fitted(name, features), relu_features(60, seed=1)
    payloads = [codec.encode(one) for one in fresh]
    found = np.stack([codec.decode(one, SPEC) for one in payloads])
    values, counts = np.unique(found, return_counts=True)
    assert len(values) <= codec.count
    assert values[0] == 0
    assert not found[fresh == 0].any()
    shares = counts / counts.sum()
    order_0_bytes = -(shares * np.log2(shares)).sum() * SPEC.elements / 8
    assert np.mean([len(one) for one in payloads]) < order_0_bytes


def test_each_value_takes_the_level_of_its_interval(features, coarse4) -> None:
    learnt = coarse4.learnt
    found = coarse4.decode(coarse4.encode(features[0]), SPEC)
    index = np.searchsorted(learnt.thresholds, features[0], side="right")
    assert found.tobytes() == learnt.levels[index].tobytes()


def test_the_range_follows_the_answers(features) -> None:
    """Where answers hang on large values alone the range is wider than where they are capped."""

    def effect(view) -> Effect:
        def change(changed) -> float:
            return float(np.square(view(changed) - view(features[: len(changed)])).mean())

        return Effect(features, change, 60)

    def high(view) -> float:
        return float(codecs.get("coarse3").fit(features, effect(view)).learnt.levels[-1])

    assert high(lambda x: np.maximum(x, 3.0)) > 1.5 * high(lambda x: np.minimum(x, 1.0))


def test_signed_features_keep_both_signs() -> None:
    samples = np.random.default_rng(0).normal(size=(60, *SHAPE)).astype("float32")
    codec = fitted("coarse8", samples)
    found = np.stack([codec.decode(codec.encode(one), SPEC) for one in samples])
    assert np.square(found - samples).mean() < 0.1
    assert (found < 0).any()


def test_what_it_cannot_carry_is_an_input_error(features, coarse4) -> None:
    for bad in (np.nan, np.inf, -np.inf):
        sample = features[0].copy()
        sample[3, 2, 1] = bad
        with pytest.raises(InputError, match="finite numbers of shape"):
            coarse4.encode(sample)
        with pytest.raises(InputError, match="infinite"):
            fitted("coarse4", sample[None])
    with pytest.raises(InputError, match="finite numbers of shape"):
        coarse4.encode(features[0, :4])
    assert coarse4.encode(np.full(SHAPE, 3e38, "float32"))


def test_indices_beyond_the_levels_are_refused(features) -> None:
    """A model that codes more indices than there are levels comes from a damaged bundle."""
    three, eight = fitted("coarse3", features), fitted("coarse8", features)
    few = {name: three.parameters()[name] for name in ("levels", "thresholds")}
    mixed = codecs.get("coarse3").with_parameters(eight.parameters() | few)
    with pytest.raises(FrameError, match="none of codec"):
        mixed.decode(eight.encode(features[0]), SPEC)


@pytest.mark.parametrize(
    "wrong",
    [
        {"levels": np.zeros(3, "f4")},
        {"levels": np.full(4, np.nan, "f4")},
        {"levels": np.zeros(4)},
        {"thresholds": np.zeros(4, "f4")},
        {"thresholds": np.array([3, 2, 1], "f4")},
        {"shape": np.array([7, 6, 6])},
        {"axis": 1.0},
        {"steps": np.zeros(8, "f4")},
    ],
)
def test_damaged_parameters_are_a_config_error(coarse4, wrong) -> None:
    with pytest.raises(ConfigError):
        coarse4.with_parameters(coarse4.parameters() | wrong)


def test_random_payloads_decode_or_are_refused(coarse4) -> None:
    rng = np.random.default_rng(0)
    for length in range(200):
        try:
            found = coarse4.decode(rng.bytes(length), SPEC)
        except FrameError:
            continue
        assert set(np.unique(found)) <= set(coarse4.learnt.levels)

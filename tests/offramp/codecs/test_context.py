"""The context codecs on tensors of every kind, and what they refuse."""

import numpy as np
import pytest

from offramp import codecs
from offramp.codecs.effect import square_error
from offramp.errors import ConfigError, FrameError, InputError
from offramp.tensors import TensorSpec

LEVELS = [name for name in codecs.names() if name.startswith("context")]


def draw(shape, seed=0, count=24, kind="sparse"):
    """Return samples of features (count, *shape)."""
    noise = np.random.default_rng(seed).normal(size=(count, *shape))
    if kind == "sparse":
        noise = np.maximum(noise, 0)
    elif kind == "outliers":
        noise[..., 1] = 60 + 5 * noise[..., 1]
    elif kind == "dead":
        noise = np.maximum(noise, 0)
        noise[:, 1:] = 0
    return noise.astype("float32")


def fitted(samples, name="context5"):
    return codecs.get(name).fit(samples, square_error(samples))


def spec_of(sample):
    return TensorSpec("x", "float32", sample.shape)


def through(codec, sample):
    spec = spec_of(sample)
    data = codecs.encode(codec, sample)
    return codecs.decode(data, spec, limit_bytes=spec.nbytes, calibrated={codec.id: codec})


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((40,), "sparse"),
        ((40,), "signed"),
        ((1,), "signed"),
        ((1, 1, 1), "sparse"),
        ((12, 16), "signed"),
        ((8, 6, 7), "sparse"),
        ((8, 6, 7), "signed"),
        ((8, 6, 7), "dead"),
        ((6, 7, 8), "signed"),
        ((3, 2, 5, 4), "sparse"),
        ((2, 3, 1, 2, 4), "signed"),
    ],
)
def test_the_change_is_about_the_level(shape, kind) -> None:
    samples = draw(shape, kind=kind, count=64)
    codec = fitted(samples, "context20")
    found = np.stack([through(codec, sample) for sample in samples])
    assert square_error(samples).change(found) == pytest.approx(0.02, rel=0.5)
    held_out = draw(shape, seed=1, kind=kind)
    found = np.stack([through(codec, sample) for sample in held_out])
    assert square_error(held_out).change(found) < 0.1


def test_a_level_that_may_change_more_is_smaller() -> None:
    samples, held_out = draw((8, 12, 12), count=60), draw((8, 12, 12), seed=1)
    each = [fitted(samples, name) for name in LEVELS]
    sizes = [sum(len(codec.encode(one)) for one in held_out) for codec in each]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(sizes)
    changes = [
        square_error(held_out).change(np.stack([through(codec, one) for one in held_out]))
        for codec in each
    ]
    assert changes == sorted(changes)


def test_a_part_of_the_boundary_may_change_its_share() -> None:
    samples = draw((8, 6, 6), count=64)
    whole = square_error(samples)
    half = type(whole)(samples, whole.change, whole.count, share=0.25)
    codec = codecs.get("context20").fit(samples, half)
    found = np.stack([through(codec, sample) for sample in samples])
    assert whole.change(found) == pytest.approx(0.005, rel=0.5)


def test_outlier_channels_of_tokens_do_not_coarsen_the_others() -> None:
    samples = draw((12, 16), kind="outliers", count=64)
    plain = np.delete(samples, 1, axis=2)
    weight = np.where(np.arange(16) == 1, 1e-3, 1).astype("float32")

    def change(changed):
        return float(np.square((changed - samples[: len(changed)]) * weight).mean())

    effect = type(square_error(samples))(samples, change, 32)
    codec = codecs.get("context20").fit(samples, effect)
    found = np.stack([through(codec, sample) for sample in samples])
    assert codec.learnt.planes.axis == 1
    assert np.square(np.delete(found, 1, axis=2) - plain).mean() < 0.03


@pytest.mark.parametrize("shape", [(5,), (4, 6), (3, 4, 5)])
@pytest.mark.parametrize("value", [0, 2.5, -3])
def test_constant_samples_come_back(shape, value) -> None:
    samples = np.full((6, *shape), value, "float32")
    codec = fitted(samples)
    assert len(codec.encode(samples[0])) <= 1
    np.testing.assert_allclose(through(codec, samples[0]), samples[0], rtol=0.15)


def test_one_sample_is_enough() -> None:
    samples = draw((4, 6, 6), count=1)
    codec = fitted(samples)
    assert square_error(samples).change(through(codec, samples[0])[None]) < 0.01


def test_what_was_dead_in_calibration_may_come_alive() -> None:
    codec = fitted(draw((4, 6, 6), kind="dead"))
    alive = draw((4, 6, 6), seed=1)[0]
    found = through(codec, alive)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[0], alive[0], atol=0.5)


def test_negative_values_become_zero_where_there_were_none() -> None:
    codec, sample = fitted(draw((4, 6, 6))), draw((4, 6, 6), seed=1)[0]
    negative = np.where(sample == 0, np.float32(-1e9), sample)
    np.testing.assert_array_equal(through(codec, negative), through(codec, sample))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_an_input_error(value) -> None:
    samples = draw((4, 6, 6))
    codec, sample = fitted(samples), samples[0].copy()
    sample[3, 5, 5] = value
    with pytest.raises(InputError, match="finite"):
        codecs.encode(codec, sample)
    with pytest.raises(InputError, match="infinite"):
        fitted(np.stack([sample, samples[1]]))


def test_another_shape_is_refused_at_both_ends() -> None:
    samples = draw((4, 6, 6))
    codec = fitted(samples)
    payload = codec.encode(samples[0])
    for shape in [(6, 6, 4), (4, 36), (5, 6, 6), (4, 6, 7), (144,), (1, 4, 6, 6), (1 << 28,)]:
        with pytest.raises(FrameError, match="none of codec"):
            codec.decode(payload, TensorSpec("x", "float32", shape))
        if shape != (1 << 28,):
            with pytest.raises(InputError, match="of shape"):
                codec.encode(np.zeros(shape, "float32"))


def test_without_calibration_nothing_is_coded() -> None:
    codec, sample = codecs.get("context5"), np.zeros((2, 3), "float32")
    for use in (lambda: codec.encode(sample), lambda: codec.decode(b"", spec_of(sample))):
        with pytest.raises(ConfigError, match="not calibrated"):
            use()
    assert codec.parameters() == {}


def test_it_carries_floats_with_a_side() -> None:
    codec = codecs.get("context5")
    assert codec.supports(TensorSpec("x", "float32", (1,)))
    assert not codec.supports(TensorSpec("x", "float32", ()))
    assert not codec.supports(TensorSpec("x", "float16", (4,)))


LEARNT = fitted(draw((4, 6, 7)) * np.float32([1, 9, 1, 1])[:, None, None]).parameters()


@pytest.mark.parametrize(
    "changed",
    [
        {"axis": 3.0},
        {"axis": -1.0},
        {"axis": 0.5},
        {"axis": float("nan")},
        {"axis": 1.0},
        {"axis": np.zeros(1)},
        {"shape": 4.0},
        {"shape": np.array([4, 6, 7], "int32")},
        {"shape": np.array([[4, 6, 7]])},
        {"shape": np.zeros(0, "int64")},
        {"shape": np.array([5, 6, 7])},
        {"shape": np.array([-4, 6, 7])},
        {"shape": np.full(100_000, 1 << 62)},
        {"shape": np.array([4, *[1] * 8])},
        {"rounding": 0.4},
        {"zoom": 1.0},
        {"weights": np.zeros((5, 2, 6), "int32")},
    ],
    ids=str,
)
def test_wrong_parameters_are_a_config_error(changed) -> None:
    with pytest.raises(ConfigError):
        codecs.get("context5").with_parameters({**LEARNT, **changed})


@pytest.mark.parametrize("name", LEARNT)
def test_a_parameter_that_is_missing_is_a_config_error(name) -> None:
    rest = {key: value for key, value in LEARNT.items() if key != name}
    with pytest.raises(ConfigError):
        codecs.get("context5").with_parameters(rest)

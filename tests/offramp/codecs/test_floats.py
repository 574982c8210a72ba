"""What the float codecs do with values out of the ordinary, and how they are calibrated."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from offramp import codecs
from offramp.codecs import packing
from offramp.codecs.affine import Affine
from offramp.codecs.effect import square_error
from offramp.errors import ConfigError, FrameError, InputError
from offramp.tensors import TensorSpec

AFFINE = ["affine8", "affine6", "affine4", "affine3", "affine2"]
LARGEST = float(np.finfo("float32").max)


def through(codec, sample):
    spec = TensorSpec("x", sample.dtype.name, sample.shape)
    return codec.decode(codec.encode(sample), spec)


def fitted(name, samples):
    return codecs.get(name).fit(samples, square_error(samples))


def relu_features(seed: int, count: int = 40):
    noise = np.random.default_rng(seed).normal(-0.5, 1, (count, 16, 6, 6))
    return np.maximum(noise, 0).astype("float32") ** 2


@pytest.mark.parametrize("name", AFFINE)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_affine_refuses_numbers_that_are_not_finite(name, value) -> None:
    sample = np.array([1, value, 3], "float32")
    for codec in [codecs.get(name), codecs.get(name).with_parameters({"low": 0, "high": 2})]:
        with pytest.raises(InputError, match="finite"):
            codec.encode(sample)
    with pytest.raises(InputError, match="infinite"):
        fitted(name, sample[None])


def test_fp16_keeps_infinities_and_clips_what_is_beyond_its_range() -> None:
    sample = np.array([1e6, -LARGEST, 65_519, np.inf, -np.inf, np.nan, -0.0, 1e-9], "float32")
    found = through(codecs.get("fp16"), sample)
    expected = np.array([65_504, -65_504, 65_504, np.inf, -np.inf, np.nan, -0.0, 0], "float32")
    np.testing.assert_array_equal(found, expected)
    assert np.signbit(found[6])


@pytest.mark.parametrize("name", AFFINE)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@settings(max_examples=50)
@given(data=st.data())
def test_affine_stays_within_half_a_step(name, dtype, data) -> None:
    values = st.floats(width=int(dtype[5:]), allow_nan=False, allow_infinity=False)
    sample = data.draw(numpy_strategies.arrays(dtype, st.integers(1, 40), elements=values))
    low, high = float(sample.min()), float(sample.max())
    found = through(codecs.get(name), sample).astype("float64")
    peak = max(abs(low), abs(high))
    step = (high - low) / (2 ** int(name[6:]) - 1)
    rounding = 4 * peak * float(np.finfo(dtype).eps) + float(np.finfo(dtype).smallest_subnormal)
    assert np.abs(found - sample).max() <= step / 2 + rounding


@pytest.mark.parametrize("ends", [(-LARGEST, LARGEST), (0, 1e-44), (1e6, 1e6 + 1), (-1e-40, 1e38)])
def test_affine_holds_ranges_at_the_limits_of_float32(ends) -> None:
    sample = np.linspace(*ends, 16).astype("float32")
    found = through(codecs.get("affine4"), sample)
    np.testing.assert_allclose(found, sample, rtol=1e-6, atol=2e-45)


@pytest.mark.parametrize("name", ["affine4", "affine3", "affine2"])
def test_fit_keeps_zero_exact_and_loses_less_than_the_extremes(name) -> None:
    features = relu_features(0)
    features[0, 0, 0, 0] = 60  # an outlier that wastes the levels
    codec = fitted(name, features)
    assert codec.parameters()["low"] == 0
    assert codec.parameters()["high"] < 60

    held_out = relu_features(1)
    extremes = codecs.get(name).with_parameters({"low": 0, "high": 60})
    errors = [
        np.mean([np.square(through(codec, sample) - sample).mean() for sample in held_out])
        for codec in (codec, extremes)
    ]
    assert errors[0] < errors[1] / 1.5
    assert not through(codec, held_out[0])[held_out[0] == 0].any()


def test_fit_of_signed_features_clips_both_ends() -> None:
    features = np.random.default_rng(2).laplace(size=(50, 400)).astype("float32")
    ends = fitted("affine2", features).parameters()
    assert features.min() < ends["low"] < -0.5
    assert 0.5 < ends["high"] < features.max()


def test_fit_takes_many_and_half_precision_features() -> None:
    features = relu_features(3, count=200).astype("float16")
    assert fitted("affine4", features) == fitted("affine4", features)


@pytest.mark.parametrize("value", [0, 3, -2])
def test_fit_on_a_constant_leaves_the_codec_uncalibrated(value) -> None:
    features = np.full((5, 2, 2), value, "float32")
    if value <= 0:
        assert fitted("affine4", features).parameters() == {}
    np.testing.assert_array_equal(through(fitted("affine4", features), features), features)


def test_elements_beyond_the_calibrated_ends_become_the_ends() -> None:
    codec = codecs.get("affine8").with_parameters({"low": 0, "high": 2})
    sample = np.array([-5, 0, 1e30, 2], "float32")
    np.testing.assert_array_equal(through(codec, sample), np.array([0, 0, 2, 2], "float32"))


@pytest.mark.parametrize(
    "parameters",
    [
        {"low": 0.0},
        {"low": 0.0, "high": 1.0, "middle": 0.5},
        {"low": 1.0, "high": 1.0},
        {"low": 2.0, "high": 1.0},
        {"low": 0.0, "high": float("inf")},
        {"low": float("nan"), "high": 1.0},
        {"low": 0.0, "high": 1e300},
    ],
)
def test_wrong_parameters_are_a_config_error(parameters) -> None:
    with pytest.raises(ConfigError, match="affine4"):
        codecs.get("affine4").with_parameters(parameters)


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("float32", float("nan"), 1),
        ("float32", 0, float("inf")),
        ("float32", 2, 1),
        ("float16", 0, 1e6),
    ],
)
def test_payload_with_impossible_ends_is_a_frame_error(dtype, low, high) -> None:
    codec = codecs.get("affine8")
    payload = codec.encode(np.arange(4, dtype=dtype))
    forged = struct.pack("<ff", low, high) + payload[8:]
    with pytest.raises(FrameError, match="ends"):
        codec.decode(forged, TensorSpec("x", dtype, (4,)))


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9_216])
def test_packed_codes_are_unpacked(bits, count) -> None:
    codes = np.random.default_rng(count).integers(0, 1 << bits, count, "uint8")
    packed = packing.pack(codes, bits)
    assert packed.size == packing.packed_bytes(count, bits)
    np.testing.assert_array_equal(packing.unpack(packed, count, bits), codes)


def test_first_code_has_the_lowest_bits() -> None:
    assert packing.pack(np.array([1, 2, 3, 0, 1], "uint8"), 2).tolist() == [0b00111001, 1]
    assert packing.pack(np.array([1, 15, 7], "uint8"), 4).tolist() == [0xF1, 7]


@pytest.mark.parametrize(("bits", "byte"), [(3, 0x80), (3, 0x08), (6, 0x40)])
def test_codes_with_too_many_bits_are_a_frame_error(bits, byte) -> None:
    with pytest.raises(FrameError, match=f"more than {bits} bits"):
        packing.unpack(np.array([byte], "uint8"), 8 // bits, bits)


def test_codes_after_the_last_element_are_a_frame_error() -> None:
    with pytest.raises(FrameError, match="after its last"):
        packing.unpack(np.array([0x10], "uint8"), 1, 4)


def test_codecs_compare_by_their_settings() -> None:
    assert codecs.get("affine4") == Affine("affine4", 20, lossless=False, bits=4)

"""Per-channel affine codecs: what they learn, and what their payloads may be."""

import struct

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp import codecs
from offramp.codecs import zstd
from offramp.codecs.effect import Effect, square_error
from offramp.errors import ConfigError, FrameError, InputError
from offramp.tensors import TensorSpec

SHAPE = (8, 6, 6)
SPEC = TensorSpec("x", "float32", SHAPE)
SCALES = np.geomspace(0.01, 100, 8)[:, None, None]


def relu_features(count: int, seed: int = 0):
    """Return features whose channels differ in scale by four powers of ten."""
    rng = np.random.default_rng(seed)
    rough = rng.normal(size=(count, *SHAPE))
    smooth = rough + np.roll(rough, 1, -1) + np.roll(rough, 1, -2)
    return (SCALES * np.maximum(smooth, 0)).astype("float32")


def fitted(name: str, samples, effect: Effect | None = None):
    return codecs.get(name).fit(samples, effect or square_error(samples))


def through(codec, samples):
    return np.stack([codec.decode(codec.encode(one), SPEC) for one in samples])


@pytest.fixture(scope="module")
def features():
    return relu_features(200)


@pytest.fixture(scope="module")
def channel4(features):
    return fitted("channel4", features)


@pytest.mark.parametrize("name", ["channel8", "channel6", "channel4", "channel3", "channel2"])
def test_each_channel_has_few_levels_and_zero_among_them(name, features) -> None:
    codec, fresh = fitted(name, features), relu_features(50, seed=1)
    found = through(codec, fresh)
    for channel in found.swapaxes(0, 1):
        assert len(np.unique(channel)) <= 2**codec.bits
    assert not found[fresh == 0].any()


def test_small_channels_are_not_lost_beside_large_ones(features) -> None:
    """All channels count alike here; one grid for the tensor would leave zeros of most."""

    def change(changed) -> float:
        off = (changed - features[: len(changed)]) / SCALES
        return float(np.square(off).mean())

    effect = Effect(features, change, 32)
    affine = codecs.get("affine4").fit(features, effect)
    channel = fitted("channel4", features, effect)
    assert effect.of(lambda some: through(channel, some)) < 0.02
    assert effect.of(lambda some: through(affine, some)) > 0.2


def test_a_channel_that_does_not_matter_gets_coarser_steps(features) -> None:
    matters = np.ones((8, 1, 1))
    matters[:4] = 1e-6

    def change(changed) -> float:
        off = (changed - features[: len(changed)]) / SCALES * matters
        return float(np.square(off).mean())

    grid = fitted("channel6", features, Effect(features, change, 32)).learnt.grid
    relative = grid.steps / SCALES[:, 0, 0]
    assert relative[:4].min() > 1.5 * relative[4:].max()


def test_signed_features_keep_both_signs() -> None:
    samples = np.random.default_rng(0).normal(size=(60, *SHAPE)).astype("float32") - 3
    codec = fitted("channel6", samples)
    assert np.abs(through(codec, samples[:5]) - samples[:5]).mean() < 0.05


def test_the_dictionary_saves_bytes(features, channel4) -> None:
    assert channel4.learnt.dictionary
    parameters = channel4.parameters()
    del parameters["dictionary"]
    without = channel4.with_parameters(parameters)
    fresh = relu_features(50, seed=1)
    sizes = [sum(len(codec.encode(one)) for one in fresh) for codec in (channel4, without)]
    assert sizes[0] < 0.97 * sizes[1]


def test_too_few_samples_leave_no_dictionary(features) -> None:
    codec = fitted("channel4", features[:2])
    assert "dictionary" not in codec.parameters()
    assert codec.decode(codec.encode(features[0]), SPEC).shape == SHAPE


def test_a_frame_holds_the_blocks_and_nothing_else(features, channel4) -> None:
    """Six bytes of a short frame, three of the block's header, no header of Zstandard's."""
    zeros = np.zeros(SHAPE, "float32")
    assert len(codecs.encode(channel4, zeros)) <= 6 + 3 + 12
    payload = channel4.encode(features[0])
    packed_bytes = -(-SPEC.elements // 2)
    frame = struct.pack("<IBI", 0xFD2FB528, 0xA0, packed_bytes) + payload
    dictionary = zstandard.ZstdCompressionDict(channel4.learnt.dictionary)
    content = zstandard.ZstdDecompressor(dict_data=dictionary).decompress(frame)
    assert len(content) == packed_bytes


def test_what_the_grid_cannot_carry_is_an_input_error(features, channel4) -> None:
    for bad in (np.nan, np.inf, -np.inf):
        sample = features[0].copy()
        sample[3, 2, 1] = bad
        with pytest.raises(InputError, match="finite numbers of shape"):
            channel4.encode(sample)
        with pytest.raises(InputError, match="infinite"):
            fitted("channel4", sample[None])
    with pytest.raises(InputError, match="finite numbers of shape"):
        channel4.encode(features[0, :4])
    assert channel4.encode(np.full(SHAPE, 3e38, "float32"))


def test_without_calibration_it_says_so(features) -> None:
    codec = codecs.get("channel4")
    with pytest.raises(ConfigError, match="not calibrated"):
        codec.encode(features[0])
    with pytest.raises(ConfigError, match="not calibrated"):
        codec.decode(b"", SPEC)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": np.zeros(8, "f4")},
        {"steps": np.full(8, np.nan, "f4")},
        {"steps": np.full(8, 1e38, "f4")},
        {"steps": np.ones(7, "f4")},
        {"offsets": np.ones(8)},
        {"offsets": np.full(8, np.inf, "f4")},
        {"shape": np.array([8.0, 6, 6])},
        {"shape": np.array([0, 6, 6])},
        {"axis": 3.0},
        {"axis": 0.5},
        {"dictionary": np.frombuffer(b"\x37\xa4\x30\xec" + bytes(40), np.uint8)},
    ],
)
def test_damaged_parameters_are_a_config_error(channel4, wrong) -> None:
    with pytest.raises(ConfigError):
        channel4.with_parameters(channel4.parameters() | wrong)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_payloads_decode_or_are_refused(data, features, channel4) -> None:
    payload = bytearray(channel4.encode(features[data.draw(st.integers(0, 9))]))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    del payload[data.draw(st.integers(1, len(payload))) :]
    try:
        found = channel4.decode(bytes(payload), SPEC)
    except FrameError:
        return
    assert found.shape == SHAPE
    assert np.isfinite(found).all()


def test_blocks_that_hold_more_or_less_are_refused() -> None:
    plain = zstd.Headless(b"")
    blocks = plain.compress(bytes(1 << 20))
    assert plain.decompress(blocks, 1 << 20) == bytes(1 << 20)
    for size_bytes in (1, 100, (1 << 20) - 1, (1 << 20) + 1):
        with pytest.raises(FrameError):
            plain.decompress(blocks, size_bytes)
    for damaged in (b"", blocks[:-1], blocks + b"\0", blocks * 2):
        with pytest.raises(FrameError):
            plain.decompress(damaged, 1 << 20)


@pytest.mark.parametrize("content", [b"\x04", b"\x17\x09", bytes(60)])
def test_no_dictionary_is_learnt_from_a_few_bytes(content) -> None:
    assert zstd.train([content] * 9, 16_384) == b""

"""Token codecs: who is dropped, what the others become, and what a payload may be."""

import numpy as np
import pytest

from offramp import codecs
from offramp.codecs.effect import Effect
from offramp.errors import ConfigError, FrameError, InputError
from offramp.tensors import TensorSpec

LENGTH, WIDTH = 13, 24
SEEN = 8  # channels on which the answers hang
SPEC = TensorSpec("x", "float32", (LENGTH, WIDTH))


def sequences(count: int, seed: int = 0):
    """Return sequences of which some tokens lie near to the mean in what the answers hang on."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, LENGTH, WIDTH)).astype("float32")
    quiet = rng.random((count, LENGTH)) < 0.4
    values[quiet, :SEEN] *= 0.02
    return values, ~quiet


def effect_of(values) -> Effect:
    """Answers hang on the first channels alone."""

    def change(changed) -> float:
        return float(np.square(changed - values[: len(changed)])[..., :SEEN].mean())

    return Effect(values, change, min(len(values), 64))


@pytest.fixture(scope="module")
def codec():
    values, _ = sequences(200)
    return codecs.get("tokens50").fit(values, effect_of(values))


def test_tokens_are_dropped_by_what_the_answers_hang_on(codec) -> None:
    values, needed = sequences(100, seed=1)
    kept = codec.learnt.keeps(codec.learnt.planes.view(values))
    assert not kept[~needed].any()
    assert kept[needed].mean() > 0.7
    found = np.stack([codec.decode(codec.encode(one), SPEC) for one in values])
    np.testing.assert_array_equal(
        found[~kept], np.tile(codec.learnt.filler, (int((~kept).sum()), 1))
    )
    assert effect_of(values).change(found) == pytest.approx(0.05, rel=0.5)


def test_it_is_smaller_than_without_dropping_at_the_same_change() -> None:
    values, _ = sequences(200)
    fresh, _ = sequences(100, seed=1)
    sizes = {}
    for name in ("tokens10", "context10"):
        codec = codecs.get(name).fit(values, effect_of(values))
        sizes[name] = np.mean([len(codec.encode(one)) for one in fresh])
    assert sizes["tokens10"] < 0.95 * sizes["context10"]


def test_none_is_dropped_where_all_are_needed() -> None:
    values, _ = sequences(100)
    values[..., :SEEN] = np.where(values[..., :SEEN] < 0, -1, 1)
    codec = codecs.get("tokens10").fit(values, effect_of(values))
    assert codec.learnt.keeps(codec.learnt.planes.view(values)).all()


def test_a_sequence_of_which_nothing_stays_is_a_bit_for_each_token(codec) -> None:
    learnt = codec.learnt
    sample = np.tile(learnt.filler, (LENGTH, 1))
    payload = codec.encode(sample)
    assert payload == bytes(2)
    np.testing.assert_array_equal(codec.decode(payload, SPEC), sample)
    with pytest.raises(FrameError, match="none of codec 'tokens50'"):
        codec.decode(payload + b"x", SPEC)


@pytest.mark.parametrize("payload", [b"", bytes(1), b"\x00\x01", b"\xff\xf8" + bytes(200)])
def test_a_payload_that_was_not_written_is_refused(codec, payload) -> None:
    with pytest.raises(FrameError, match="none of codec 'tokens50'"):
        codec.decode(payload, SPEC)


def test_a_value_that_is_no_number_has_no_payload(codec) -> None:
    sample = sequences(1)[0][0]
    sample[3, 4] = np.nan
    with pytest.raises(InputError, match="finite"):
        codec.encode(sample)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("filler", np.zeros(WIDTH + 1, "float32")),
        ("weights_of_tokens", np.full(WIDTH, np.nan, "float32")),
        ("threshold", np.float64(1)),
        ("threshold", np.float32("inf")),
    ],
)
def test_parameters_that_do_not_fit_are_a_config_error(codec, name, value) -> None:
    learnt = {**codec.parameters(), name: np.asarray(value)}
    with pytest.raises(ConfigError):
        codecs.get("tokens50").with_parameters(learnt)
    missing = {key: array for key, array in codec.parameters().items() if key != name}
    with pytest.raises(ConfigError):
        codecs.get("tokens50").with_parameters(missing)


def test_tokens_that_stay_are_coded_as_if_they_lay_side_by_side(codec) -> None:
    values, _ = sequences(40, seed=2)
    model = codec.learnt.tokens.model
    for one in values:
        planes = codec.learnt.planes.view(one)
        kept = codec.learnt.keeps(planes)
        found = codec.decode(codec.encode(one), SPEC)
        alone = model.through(np.ascontiguousarray(planes[None, :, :, kept]))
        np.testing.assert_allclose(found[kept], alone[0, :, 0].T, rtol=1e-5, atol=1e-6)

"""What is learnt from samples, and arrays that no compiled loop may be given."""

import numpy as np
import pytest

from offramp.codecs.context_model import SYMBOLS, ContextModel, Quantiser, fit_model
from offramp.errors import ConfigError

C = 3
LARGE, SMALL = 2**31 - 1, -(2**31)


def quantiser(step=0.5, sparse=True):
    return Quantiser(np.zeros(C, "float32"), np.full(C, step, "float32"), 0.4, sparse)


def features(seed, sparse=True, count=30):
    noise = np.random.default_rng(seed).normal(size=(count, C, 6, 7))
    return (np.maximum(noise, 0) if sparse else noise).astype("float32")


def model_of(sparse=True, **changed):
    model = fit_model(features(0, sparse), quantiser(sparse=sparse))
    return ContextModel.of({**model.arrays(), **changed})


SPARSE, SIGNED = model_of().arrays(), model_of(sparse=False).arrays()


def with_element(name, place, value, arrays=SPARSE):
    changed = arrays[name].copy()
    changed[place] = value
    return {name: changed}


def frequencies(*inner):
    """Return a cumulative row with its first elements replaced, in every context."""
    changed = SPARSE["cumulative"].copy()
    changed[:, 1 : 1 + len(inner)] = inner
    return {"cumulative": changed}


def of_symbols(count):
    contexts = len(SPARSE["cumulative"])
    row = np.append(np.arange(count), 1 << 15).astype("int32")
    return {
        "cumulative": np.tile(row, (contexts, 1)),
        "shifts": np.zeros((contexts, count), "float32"),
    }


UNSOUND = {
    "an offset that is infinite": with_element("offsets", 1, np.inf),
    "a shift that is no number": with_element("shifts", (0, 0), np.nan),
    "a step of zero": with_element("steps", 0, 0),
    "a negative step": with_element("steps", 0, -1),
    "a step that is no number": with_element("steps", 2, np.nan),
    "an infinite step": with_element("steps", 2, np.inf),
    "a step whose inverse is infinite": with_element("steps", 2, 1e-44),
    "rounding of 1": {"rounding": np.array(1, "float32")},
    "rounding that is no number": {"rounding": np.array(np.nan, "float32")},
    "a lowest code above zero": {"lowest": np.array(1, "int32")},
    "a lowest code beyond all symbols": {"lowest": np.array(-SYMBOLS, "int32")},
    "the least lowest code": {"lowest": np.array(SMALL, "int32")},
    "a channel that predicts itself": with_element("sources", (1, 0), 1),
    "a later channel that predicts": with_element("sources", (0, 1), 2),
    "a channel beyond the plane of zeros": with_element("sources", (2, 0), C + 1),
    "a channel below zero": with_element("sources", (2, 1), -1),
    "a bin below zero": with_element("lookups", (0, 5), -1),
    "a mean's bin below zero": with_element("lookups", (1, 1023), -1),
    "a bin without frequencies": with_element("lookups", (0, 0), len(SPARSE["cumulative"])),
    "a mean's bin without frequencies": with_element("lookups", (1, 0), 1),
    "a bin that overflows when one is added": with_element("lookups", (0, 0), LARGE),
    "bins whose product overflows": {
        "lookups": np.full((2, 1024), 65_535, "int32"),
    },
    "a weight out of range": with_element("weights", (0, 0, 0), 1 << 15),
    "the least weight, which has no magnitude": with_element("weights", (0, 1, 5), SMALL),
    "a bias out of range": with_element("bias", (0, 0), LARGE),
    "the least bias": with_element("bias", (2, 1), SMALL),
    "frequencies that start above zero": with_element("cumulative", (0, 0), 1),
    "frequencies that end early": with_element("cumulative", (-1, -1), (1 << 15) - 1),
    "a frequency of zero": frequencies(7, 7),
    "frequencies that fall": frequencies(9, 8),
    "frequencies that rise again when they overflow": frequencies(LARGE, -2),
    "no symbol": {
        "cumulative": np.zeros((len(SPARSE["cumulative"]), 1), "int32"),
        "shifts": np.zeros((len(SPARSE["cumulative"]), 0), "float32"),
    },
    "so many symbols that decoding takes long": of_symbols(SYMBOLS + 1),
    "no contexts": {
        "cumulative": SPARSE["cumulative"][:0],
        "shifts": SPARSE["shifts"][:0],
    },
}


@pytest.mark.parametrize("changed", UNSOUND.values(), ids=UNSOUND)
def test_values_out_of_range_are_a_config_error(changed) -> None:
    with pytest.raises(ConfigError, match="out of range"):
        model_of(**changed)


@pytest.mark.parametrize("name", SPARSE)
@pytest.mark.parametrize(
    "change",
    [
        lambda array: array.astype("float64"),
        lambda array: array.astype("int64"),
        lambda array: array.astype(array.dtype.newbyteorder()),
        lambda array: array[None],
        lambda array: array.ravel()[:-1],
        lambda array: np.zeros((), array.dtype) if array.ndim else np.zeros(1, array.dtype),
        lambda array: np.concatenate([array, array]) if array.ndim else array[None, None],
    ],
    ids=["float64", "int64", "byte order", "side", "shorter", "sides", "longer"],
)
def test_another_dtype_or_shape_is_a_config_error(name, change) -> None:
    with pytest.raises(ConfigError, match="context model"):
        model_of(**{name: change(SPARSE[name])})


def test_missing_and_unknown_arrays_are_a_config_error() -> None:
    with pytest.raises(ConfigError, match="not none"):
        ContextModel.of({})
    with pytest.raises(ConfigError, match="zoom"):
        ContextModel.of({**SPARSE, "zoom": np.zeros(1)})
    with pytest.raises(ConfigError, match="has the arrays"):
        ContextModel.of({name: array for name, array in SPARSE.items() if name != "bias"})


def test_a_model_does_not_change_with_the_arrays_it_was_made_of() -> None:
    arrays = {name: array.copy() for name, array in SPARSE.items()}
    model = ContextModel.of(arrays)
    payload = model.encode(features(3)[0])
    arrays["lookups"][:] = LARGE
    arrays["sources"][:] = LARGE
    assert model.encode(features(3)[0]) == payload


@pytest.mark.parametrize("sparse", [True, False])
def test_stored_arrays_give_the_same_model(sparse) -> None:
    arrays = SPARSE if sparse else SIGNED
    model, value = ContextModel.of(arrays), features(1, sparse)[0]
    payload = model.encode(value)
    assert payload == fit_model(features(0, sparse), quantiser(sparse=sparse)).encode(value)
    assert model.sparse == sparse
    assert model.channels == C
    assert (model.sight.means == 1) == sparse


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("value", [0, 3, -2])
def test_constant_samples(sparse, value) -> None:
    values = np.full((4, C, 2, 2), abs(value) if sparse else value, "float32")
    model = fit_model(values, quantiser(sparse=sparse))
    payload = model.encode(values[0])
    assert len(payload) <= 1
    np.testing.assert_allclose(model.decode(payload, (C, 2, 2)), values[0], atol=1e-6)


def test_decoded_values_are_the_means_of_what_has_the_same_code() -> None:
    values = features(0, count=400)
    model = fit_model(values, quantiser(step=0.8))
    found = np.stack([model.decode(model.encode(one), one.shape) for one in values])
    codes = np.floor(values / 0.8 + 0.4)
    for code in range(4):
        assert found[codes == code].mean() == pytest.approx(values[codes == code].mean(), abs=0.01)
    plain = np.square(codes * 0.8 - values).mean()
    assert np.square(found - values).mean() < plain


@pytest.mark.parametrize("sparse", [True, False])
def test_what_becomes_of_samples_is_known_without_coding_them(sparse) -> None:
    values = features(0, sparse=sparse)
    values[0, 0, 0, 0] = 1e4  # escaped
    model = fit_model(values, quantiser(sparse=sparse))
    found = [model.decode(model.encode(one), one.shape) for one in values]
    np.testing.assert_allclose(model.through(values), found, rtol=1e-6, atol=1e-6)


def test_a_value_that_is_not_finite_has_no_payload() -> None:
    model = ContextModel.of(SIGNED)
    for value in (np.nan, np.inf, -np.inf):
        sample = features(0, sparse=False)[0]
        sample[1, 2, 3] = value
        assert model.encode(sample) is None


def test_rare_codes_are_escaped() -> None:
    values = features(0)
    values[0, 0, 0, 0] = 1e4
    values[1, 1, 1, 1] = 1e9
    model = fit_model(values, quantiser())
    assert model.cumulative.shape[1] <= SYMBOLS + 1
    for at, limit in ((0, 1e4), (1, 16_000)):  # 32,000 steps
        found = model.decode(model.encode(values[at]), values[at].shape)
        assert found.max() == pytest.approx(limit, abs=1)

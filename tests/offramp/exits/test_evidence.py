"""What is recorded of samples: pieces of it, states, summaries."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from offramp.errors import InputError
from offramp.exits import Evidence
from offramp.exits.evidence import as_logits, as_state, summarise


def test_rows_and_exits_are_taken_from_everything(evidence: Evidence) -> None:
    rows = np.array([3, 1])
    part = evidence[rows].upto(1)
    assert (len(part), part.exits) == (2, 2)
    np.testing.assert_array_equal(part.logits[1], evidence.logits[1][rows])
    np.testing.assert_array_equal(part.states[0], evidence.states[0][rows])
    np.testing.assert_array_equal(part.summary, evidence.summary[rows])
    np.testing.assert_array_equal(part.right, evidence.right[[0, 1, 3]][:, rows])
    assert part.recorded.costs is evidence.recorded.costs
    bare = Evidence(evidence.logits)[:2]
    assert bare.summary.shape == (0, 0)
    with pytest.raises(InputError, match="have no labels"):
        _ = bare.right


def test_logits_are_bounded_numbers_over_their_temperature() -> None:
    raw = np.array([[1.0, -np.inf, np.inf, np.nan]])
    assert as_logits(raw, 2.0)[0, :3].tolist() == [0.5, -1e6, 1e6]
    assert np.isnan(as_logits(raw)[0, 3])
    assert as_logits(raw).dtype == np.float32


@pytest.mark.parametrize(
    ("shape", "axes"), [((2, 3), ()), ((2, 5, 3), (1,)), ((2, 3, 4, 5), (2, 3))]
)
def test_a_state_is_the_mean_over_positions(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    tensor = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    state = as_state(tensor)
    assert state.shape == (2, 3)
    assert state.dtype == np.float32
    np.testing.assert_allclose(state, tensor.mean(axis=axes) if axes else tensor)


def test_a_summary_takes_less_memory_than_its_samples() -> None:
    images = np.random.default_rng(0).integers(0, 256, (1000, 64, 64, 3), dtype=np.uint8)
    tracemalloc.start()
    whole = summarise([images])
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 2 * images.nbytes
    alone = np.concatenate([summarise([image[None]]) for image in images[48:52]])
    np.testing.assert_array_equal(whole[48:52], alone)


def test_an_image_is_summarised_by_the_cells_of_a_grid() -> None:
    image = np.zeros((1, 10, 12, 2), np.uint8)
    image[0, :2, :3, 0] = 8  # half of the first cell's rows, rounded, and all of its columns
    means, spreads = np.split(summarise([image])[0], 2)
    assert means.shape == (4 * 4 * 2,)
    assert means[0] == 8
    assert spreads[0] == 0
    assert means[1:].sum() == 0
    image[0, 0, 0, 0] = 0
    values = image[0, :2, :3, 0]
    means, spreads = np.split(summarise([image])[0], 2)
    assert means[0] == pytest.approx(values.mean())
    assert spreads[0] == pytest.approx(values.std())


@pytest.mark.parametrize(
    ("shape", "dtype", "width"),
    [
        ((3, 32, 32), "float32", 3 * 16 * 2),
        ((160,), "int16", 32),
        ((2,), "float32", 4),
        ((100, 40), "float32", 32),
        ((3, 8, 20, 20), "float32", 3 * 16 * 2),
        ((), "float32", 2),
        ((16,), "int64", 32),
    ],
)
def test_every_kind_of_input_has_a_short_summary(
    shape: tuple[int, ...], dtype: str, width: int
) -> None:
    dice = np.random.default_rng(0)
    inputs = (dice.normal(size=(5, *shape)) * 50).astype(dtype)
    summary = summarise([inputs, inputs])
    assert summary.shape == (5, 2 * width)
    assert summary.dtype == np.float32
    np.testing.assert_allclose(summarise([inputs[2:3], inputs[2:3]])[0], summary[2], rtol=1e-6)


def test_tokens_are_counted_whatever_their_order() -> None:
    tokens = np.array([[5, 6, 7, 7], [7, 7, 6, 5], [1, 2, 3, -4]])
    summary = summarise([tokens])
    np.testing.assert_array_equal(summary[0], summary[1])
    assert (summary[0] != summary[2]).any()
    np.testing.assert_allclose(summary.sum(axis=1), 1)
    assert summary[0].max() >= 0.5

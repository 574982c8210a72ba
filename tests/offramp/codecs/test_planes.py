"""Tensors of every shape seen as channels, rows and columns, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.codecs.planes import Planes, best_axis
from offramp.errors import ConfigError


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.data())
def test_what_is_viewed_is_restored(shape, data) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    ahead = data.draw(st.sampled_from([(), (1,), (3,), (2, 2)]))
    samples = np.arange(np.prod([*ahead, *shape]), dtype="float32").reshape(*ahead, *shape)
    planes = Planes(tuple(shape), axis)
    seen = planes.view(samples)
    assert seen.shape == (*ahead, *planes.sides)
    assert seen.flags.c_contiguous
    assert not seen.flags.writeable
    channel = data.draw(st.integers(0, shape[axis] - 1))
    np.testing.assert_array_equal(
        seen[..., channel, :, :].ravel(), samples.take(channel, axis - len(shape)).ravel()
    )
    back = planes.restore(seen)
    assert back.flags.c_contiguous
    np.testing.assert_array_equal(back, samples)


@pytest.mark.parametrize(
    ("shape", "axis", "sides"),
    [
        ((7,), 0, (7, 1, 1)),
        ((5, 7), 0, (5, 1, 7)),
        ((5, 7), 1, (7, 1, 5)),
        ((3, 5, 7), 0, (3, 5, 7)),
        ((3, 5, 7), 2, (7, 3, 5)),
        ((2, 3, 5, 7), 0, (2, 15, 7)),
        ((2, 3, 5, 7), 3, (7, 6, 5)),
    ],
)
def test_sides(shape, axis, sides) -> None:
    assert Planes(shape, axis).sides == sides


def test_a_view_leaves_the_samples_writeable() -> None:
    samples = np.zeros((2, 3, 4), "float32")
    Planes((3, 4), 0).view(samples)
    samples[0] = 1


@pytest.mark.parametrize(
    ("shape", "axis"), [((6, 5, 4), 0), ((5, 4, 6), 2), ((9, 6), 1), ((6, 9), 0), ((6,), 0)]
)
def test_channels_are_where_magnitudes_differ(shape, axis) -> None:
    samples = np.random.default_rng(0).normal(size=(20, *shape))
    scales = np.array([1, 1, 9, 2, 1, 0.2]).reshape(
        [6 if at == axis else 1 for at in range(len(shape))]
    )
    assert best_axis(samples * scales) == axis


@pytest.mark.parametrize("shape", [[2**60] * 9, [1] * 5000, [0, 3], [-1], []])
def test_planes_of_no_tensor_are_refused(shape) -> None:
    with pytest.raises(ConfigError, match="no tensor"):
        Planes.of({"axis": 0.0, "shape": np.array(shape, np.int64)})

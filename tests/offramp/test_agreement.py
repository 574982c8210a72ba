"""Agreement: one number for how far two lists of outputs are apart, right for every dtype."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from offramp.agreement import largest_difference
from offramp.tensors import DTYPES

NAN, INF = math.nan, math.inf


def array(values, dtype="float32"):
    return np.array(values, dtype)


@pytest.mark.parametrize(
    ("found", "expected", "difference"),
    [
        (array([1, 2, -4]), array([1, 2.5, -4]), 0.5 / 4),
        (array([0, 0]), array([0, 0]), 0),
        (array([0, 1e-3]), array([0, 0]), 1e-3),  # of nothing: as it is
        (array([True, False], "bool"), array([True, False], "bool"), 0),
        (array([True, False], "bool"), array([True, True], "bool"), 1),
        (array([0, 200], "uint8"), array([1, 200], "uint8"), 1 / 200),  # not 255 / 200
        (array([-128], "int8"), array([127], "int8"), 255 / 127),
        (array([60000], "float16"), array([-60000], "float16"), 2),
        (array([]), array([]), 0),
        (array([NAN, INF, -INF, 2]), array([NAN, INF, -INF, 1]), 1),
        (array([NAN, 1]), array([1, 1]), INF),
        (array([1, 1]), array([NAN, 1]), INF),
        (array([INF, 1]), array([-INF, 1]), INF),
        (array([INF, 1]), array([NAN, 1]), INF),
        (array([[1, 2]]), array([1, 2]), INF),
        (array([1, 2], "int32"), array([1, 2], "int64"), INF),
    ],
)
def test_two_outputs_are_as_far_apart_as_their_worst_element(found, expected, difference):
    assert largest_difference([found], [expected]) == pytest.approx(difference, rel=1e-6)


def test_the_worst_of_several_outputs_counts_each_by_its_own_magnitude():
    large, small = array([1000, 2000]), array([0.1, 0.2])
    assert largest_difference([large, small + array(0.1)], [large, small]) == pytest.approx(0.5)
    assert largest_difference([large + array(0.1), small], [large, small]) < 1e-4
    assert largest_difference([], []) == 0
    assert largest_difference([large], [large, small]) == math.inf
    assert largest_difference([large, small], [large]) == math.inf


@given(st.data())
def test_what_is_the_same_agrees_whatever_it_is_and_what_is_changed_does_not(data):
    dtype = data.draw(st.sampled_from(DTYPES))
    outputs = arrays.arrays(dtype, arrays.array_shapes(max_dims=3, max_side=4))
    expected = data.draw(st.lists(outputs, min_size=1, max_size=3))
    assert largest_difference([one.copy() for one in expected], expected) == 0
    changed = [one.copy() for one in expected]
    at = data.draw(st.integers(0, len(changed) - 1))
    element = changed[at].flat[0]
    changed[at].flat[0] = not element if dtype == "bool" else 1 if element == 0 else 0
    assert largest_difference(changed, expected) > 0

"""Agreement: how far what an engine answers is from what it should answer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from offramp.tensors import Array

__all__ = ["largest_difference"]


def largest_difference(found: Sequence[Array], expected: Sequence[Array]) -> float:
    """Return the largest difference of an element, as a share of its output's largest magnitude.

    The share is that of the worst output; the magnitude is that of what is finite in ``expected``,
    or 1 where all of that is zero. Returns infinity if the two have different numbers of outputs,
    dtypes or shapes, or are not finite in the same places and in the same way.
    """
    if len(found) != len(expected):
        return math.inf
    return max(map(_difference, found, expected), default=0.0)


def _difference(found: Array, expected: Array) -> float:
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return math.inf
    mine, theirs = found.astype(np.float64), expected.astype(np.float64)  # uint8 would wrap
    finite = np.isfinite(theirs)
    if not np.array_equal(np.isfinite(mine), finite):
        return math.inf
    if not np.array_equal(mine[~finite], theirs[~finite], equal_nan=True):
        return math.inf
    largest = np.abs(mine[finite] - theirs[finite]).max(initial=0.0)
    return float(largest) / (float(np.abs(theirs[finite]).max(initial=0.0)) or 1.0)

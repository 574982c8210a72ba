"""The levels of a coarse quantiser that weighs errors against bits.

An entropy-constrained Lloyd iteration (Chou, Lookabaugh and Gray, 1989) whose first and last level
are pinned to the clip values: Cohen, Choi and Bajić (arXiv 2105.06002) lose less with them there.
"""

from __future__ import annotations

import numpy as np

from offramp.tensors import Array

__all__ = ["find_levels"]

_ITERATIONS = 40
_LEAST_SHARE = 1e-4  # of values that a level is taken to have, so that its bits are finite


def find_levels(
    values: Array, ends: tuple[float, float], count: int, bit_cost: float
) -> tuple[Array, Array]:
    """Return the ``count`` levels and the ``count - 1`` thresholds between them, both ascending.

    They have about the least square error plus ``bit_cost``, in squares of the distance between
    even levels, times the bits, on flat ``values``. A value on a threshold belongs above it.
    """
    levels = np.linspace(*ends, count)
    weight = bit_cost * (levels[1] - levels[0]) ** 2
    ordered = np.sort(np.clip(values.astype(np.float64), *ends))
    sums = np.concatenate(([0.0], np.cumsum(ordered)))
    bits = np.zeros(count)
    for _ in range(_ITERATIONS):
        thresholds = _thresholds(levels, weight * bits)
        places = np.concatenate(([0], np.searchsorted(ordered, thresholds), [ordered.size]))
        held = np.diff(places)
        means = np.diff(sums[places]) / np.maximum(held, 1)
        levels[1:-1] = np.where(held > 0, means, levels)[1:-1]
        levels = np.maximum.accumulate(levels)
        bits = -np.log2(np.maximum(held / ordered.size, _LEAST_SHARE))
    return levels, _thresholds(levels, weight * bits)


def _thresholds(levels: Array, costs: Array) -> Array:
    """Return where two neighbours cost the same, square error and ``costs`` together."""
    gaps = np.maximum(np.diff(levels), 1e-12 * max(levels[-1] - levels[0], 1e-30))
    middles = (levels[:-1] + levels[1:]) / 2 + np.diff(costs) / (2 * gaps)
    return np.maximum.accumulate(np.clip(middles, levels[0], levels[-1]))

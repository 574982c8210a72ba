"""Where to clip a tensor before it is quantised.

A wide range wastes levels on rare large values, a narrow one cuts them off. The range with the
least mean square error is searched on a grid of quantiles (algorithms after Cohen, Choi and
Bajić, arXiv 2105.06002, who model the distribution instead).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from offramp.tensors import Array

__all__ = ["best_clip"]

Ends = tuple[float, float]

_TAILS = (0.0, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.3)
_MOST_VALUES = 1 << 16


def best_clip(values: Array, through: Callable[[Array, Ends], Array]) -> Ends | None:
    """Return the ends with which ``through`` loses least of ``values``; none if all are equal.

    ``through`` quantises values between two ends and gives back their levels. Where no value
    is negative the low end is zero, so that what ReLU put out stays exactly zero.
    """
    values = _thinned(values.astype(np.float32, copy=False))
    candidates = _relu_ends(values) if values.min() >= 0 else _signed_ends(values)
    errors = {
        ends: float(np.square(through(values, ends) - values, dtype=np.float64).mean())
        for ends in candidates
        if ends[0] < ends[1]
    }
    return min(errors, key=errors.__getitem__, default=None)


def _thinned(values: Array) -> Array:
    """Return at most `_MOST_VALUES` of the values, the extremes among them."""
    if values.size <= _MOST_VALUES:
        return values
    chosen = np.random.default_rng(0).integers(values.size, size=_MOST_VALUES - 2)
    return np.concatenate((values[chosen], [values.min(), values.max()]))


def _relu_ends(values: Array) -> list[Ends]:
    positive = values[values > 0]
    if not positive.size:
        return []
    highs = np.quantile(positive, 1 - np.array(_TAILS))
    return [(0.0, float(np.float32(high))) for high in highs]


def _signed_ends(values: Array) -> list[Ends]:
    tails = np.array(_TAILS[::2])
    lows = np.quantile(values, tails).astype(np.float32)
    highs = np.quantile(values, 1 - tails).astype(np.float32)
    return [(float(low), float(high)) for low in lows for high in highs]

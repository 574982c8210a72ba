"""Least late: the candidates with the least late share, most of them ruled out by bounds.

To follow every sample over a link in doubt takes tens of milliseconds for thousands of candidates.
A few sizes of each tell between what its late share lies, and one that is later at its best than
another at its worst is not the least late. What is left is followed sample by sample.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from partitioner.forecast import Forecast
from partitioner.measures import is_less

__all__ = ["least_late"]

_GROUPS = 1, 12, 100


def least_late(forecast: Forecast, deadline_s: float, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return those of the rows whose late share is the least, up to rounding."""
    least, most = (bound[rows] for bound in forecast.late_bounds(deadline_s, _GROUPS[0]))
    for groups in (*_GROUPS[1:], None):
        near = ~is_less(most.min(), least)
        rows, least, most = rows[near], least[near], most[near]
        wide = np.flatnonzero((most > least) & is_less(least.min(), most))  # may not tie
        if not len(wide):
            break
        some = Forecast(forecast.costs.select(rows[wide]), forecast.conditions)
        if groups is None:
            least[wide] = most[wide] = some.late_share(deadline_s)
        else:
            least[wide], most[wide] = some.late_bounds(deadline_s, groups)
    kept: NDArray[np.int64] = rows[~is_less(least.min(), most)]
    return kept

"""Pareto: which points no other point undercuts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["undercut_by_none"]


def undercut_by_none(points: NDArray[Any]) -> NDArray[np.int64]:
    """Return the rows of n points with k coordinates, (n, k), that are Pareto-optimal.

    A point is undercut by one that is not larger in any coordinate; of equal points the first
    stays. Where some coordinate is to be least by any monotone measure, one of these is best.
    """
    order = np.lexsort(points.T[::-1])
    kept = np.empty_like(points)
    rows: list[int] = []
    for row in order:
        if not (kept[: len(rows)] <= points[row]).all(axis=1).any():
            kept[len(rows)] = points[row]
            rows.append(int(row))
    return np.array(rows, dtype=np.int64)

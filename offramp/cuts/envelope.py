"""The lower envelope of lines: which of many plans is best at each x, built once, then looked up.

A plan's mean latency is ``seconds + slope * x``, with x the mean seconds that a unit of what it
sends takes. Over x the least of such lines is concave and piecewise linear; a line is part of it
where its point (slope, seconds) is a corner of the points' lower convex hull (Andrew 1979).
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from offramp.tensors import Array

__all__ = ["Envelope"]


class Envelope:
    """The least of ``seconds + slopes * x`` for x from ``least`` to ``most``, by row.

    ``winners`` are the rows that are best somewhere, from ``least`` on; ``breaks``, one fewer and
    ascending, say from which x on each of them but the first is best. Where several are equal it is
    the one of smaller slope, then the lower row.
    """

    def __init__(
        self, seconds: Array, slopes: Array, least: float = 0.0, most: float = np.inf
    ) -> None:
        """Build it in O(n log n) from float64 arrays (n,).

        Rows with an infinite value are never best. ValueError if no other is left, if one is NaN,
        or if the range is none.
        """
        if np.isnan(seconds).any() or np.isnan(slopes).any() or not 0 <= least <= most:
            raise ValueError("an envelope needs numbers, and a range from 0 or more upwards")
        allowed = np.flatnonzero(np.isfinite(seconds) & np.isfinite(slopes))
        if not len(allowed):
            raise ValueError("no line of the envelope is finite")
        rows = allowed[_hull(slopes[allowed], seconds[allowed])][::-1]
        breaks = np.diff(seconds[rows]) / -np.diff(slopes[rows])
        first = int(np.searchsorted(breaks, least, "right"))
        last = max(first, int(np.searchsorted(breaks, most, "right")))
        self.least, self.most = least, most
        self.breaks: tuple[float, ...] = tuple(breaks[first:last].tolist())
        self.winners: tuple[int, ...] = tuple(rows[first : last + 1].tolist())

    def best(self, x: float) -> int:
        """Return the row that is best at x; beyond the range, that at its nearer end."""
        return self.winners[bisect_right(self.breaks, x)]

    def span(self, x: float) -> tuple[float, float]:
        """Return from which x to which the row that is best at ``x`` stays so."""
        at = bisect_right(self.breaks, x)
        breaks = self.breaks
        return breaks[at - 1] if at else self.least, breaks[at] if at < len(breaks) else self.most


def _hull(slopes: Array, seconds: Array) -> Array:
    """Return the corners of the points' lower left convex hull, by ascending slope.

    A point on or above the chord between any two others is no corner, so all that lie above some
    chord go at once: those of far neighbours first, then those of near ones.
    """
    rows = np.lexsort((seconds, slopes))
    lowest = np.minimum.accumulate(seconds[rows])
    rows = rows[np.append(True, lowest[1:] < lowest[:-1])]
    stride = len(rows) // 2
    while stride:
        stride = min(stride, len(rows) // 2)
        at = np.arange(1, len(rows) - 1)
        before, after = np.maximum(at - stride, 0), np.minimum(at + stride, len(rows) - 1)
        x, y = slopes[rows], seconds[rows]
        falls = (y[before] - y[at]) / (x[at] - x[before]) > (y[at] - y[after]) / (x[after] - x[at])
        if stride > 1 or falls.all():
            stride //= 2
        rows = rows[np.concatenate([[True], falls, [True]])]
    return np.asarray(rows)

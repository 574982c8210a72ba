"""Columns: the order of a row's places, and where each of them stands from left to right.

After K. Sugiyama, S. Tagawa and M. Toda, "Methods for visual understanding of hierarchical system
structures", 1981: places are ordered by the mean of their neighbours', row by row, down and up
again; then each is put as near to its neighbours as order and widths allow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from statistics import fmean, median

from offramp.drawing.rows import Rows

__all__ = ["arrange_columns", "nearest_in_order"]

GAP = 18.0
"""The room between two places of a row."""

_SWEEPS = 8
_STRAIGHT = 8.0  # how much more a passing value wants to go straight than a block does
_PULL = 0.8  # blocks are drawn to the axis, else a long chain of branches drifts to one side

Neighbours = Sequence[Sequence[int]]


def arrange_columns(rows: Rows, widths: Sequence[float]) -> list[float]:
    """Return the centre of each place; the leftmost place begins at 0."""
    above: Neighbours = [place.above for place in rows.places]
    below = _turned(above)
    order = rows.by_row()
    positions = {at: index for row in order for index, at in enumerate(row)}
    for neighbours, row in _sweeps(order, above, below):
        _sort(row, positions, neighbours)
    centres = [0.0] * len(above)
    weights = [_STRAIGHT if place.passes else 1.0 for place in rows.places]
    pulls = [1.0 if place.passes else _PULL for place in rows.places]
    for neighbours, row in _sweeps(order, above, below):
        near = [median([centres[n] for n in neighbours[at]] or [centres[at]]) for at in row]
        wanted = [centre * pulls[at] for centre, at in zip(near, row, strict=True)]
        found = nearest_in_order(wanted, [weights[at] for at in row], [widths[at] for at in row])
        for at, centre in zip(row, found, strict=True):
            centres[at] = centre
    left = min(centre - width / 2 for centre, width in zip(centres, widths, strict=True))
    return [centre - left for centre in centres]


def nearest_in_order(
    wanted: Sequence[float], weights: Sequence[float], widths: Sequence[float]
) -> list[float]:
    """Return the centres that are nearest to those wanted, in order and `GAP` apart.

    It minimises the weighted sum of squares: isotonic regression by pooling adjacent violators.
    """
    steps = [(one + next_one) / 2 + GAP for one, next_one in pairwise(widths)]
    offsets = list(accumulate(steps, initial=0.0))[: len(wanted)]
    pools: list[tuple[float, float, int]] = []  # mean, weight and number of those moved together
    for want, offset, weight in zip(wanted, offsets, weights, strict=True):
        pool = (want - offset, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            mean, other, count = pools.pop()
            both = other + pool[1]
            pool = ((mean * other + pool[0] * pool[1]) / both, both, count + pool[2])
        pools.append(pool)
    means = [mean for mean, _, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _sweeps(
    order: list[list[int]], above: Neighbours, below: Neighbours
) -> Iterator[tuple[Neighbours, list[int]]]:
    """Yield every row with its neighbours' side, down and up in turn, and down at last."""
    for sweep in range(_SWEEPS + 1):
        down = sweep % 2 == 0
        for row in order if down else reversed(order):
            yield (above if down else below), row


def _sort(row: list[int], positions: dict[int, int], neighbours: Neighbours) -> None:
    row.sort(key=lambda at: fmean([positions[n] for n in neighbours[at]] or [positions[at]]))
    positions.update({at: index for index, at in enumerate(row)})


def _turned(above: Neighbours) -> list[list[int]]:
    below: list[list[int]] = [[] for _ in above]
    for at, places in enumerate(above):
        for place in places:
            below[place].append(at)
    return below

"""The frontier: all exits' thresholds together, as far as no others are cheaper and more right.

Samples are counted once in a table with an axis for each exit. A sample that stays at exit e for
thresholds t_1 .. t_e changes the sum of right answers by right_(e+1) - right_e, so

    right(t) = sum_n right_1(n) + sum_e sum_n (right_(e+1)(n) - right_e(n)) [n stays at 1 .. e],

and each inner sum is an entry of a summed-area table (Crow, SIGGRAPH 1984) over the first e axes.
Costs and what is sent follow the same way. So every vector of a grid of millions takes a few
additions, whatever the number of samples, and the frontier of the grid is exact. Where the grid has
fewer steps than there are scores, each threshold is then moved alone over all scores.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.exits.policy import WATCHED
from offramp.guarantee.outcomes import CLOSED, Outcomes
from offramp.tensors import Array

__all__ = [
    "MOST_VECTORS",
    "Frontier",
    "SizedFrontier",
    "trace_frontier",
    "trace_grid",
    "trace_sizes",
    "unbeaten",
]

MOST_VECTORS = 2_000_000
"""The most threshold vectors of a grid."""

_MOVED = 64
_ROUNDS = 3
_ROUNDING = 1e-12

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Frontier:
    """F threshold vectors by rising cost and accuracy; no vector of those tried beats one.

    ``thresholds`` (F, E); ``mean_cost``, ``accuracy`` and ``sent_share`` (F,): what a sample costs,
    the share of right answers, and the share that no exit answers.
    """

    thresholds: Floats
    mean_cost: Floats
    accuracy: Floats
    sent_share: Floats

    def __len__(self) -> int:
        return len(self.mean_cost)


@dataclass(frozen=True)
class SizedFrontier:
    """F threshold vectors, ``thresholds`` (F, E), and what they take and bring, each (F,).

    ``mean_size`` is over all samples, those that are not sent counting as 0.
    """

    thresholds: Floats
    mean_cost: Floats
    accuracy: Floats
    mean_size: Floats


def trace_frontier(
    outcomes: Outcomes, most_sent: float = 1.0, most_vectors: int = MOST_VECTORS
) -> Frontier:
    """Return the frontier of mean cost against accuracy, empty if all vectors send too much.

    It is that of `trace_grid`, improved by moving single thresholds over all scores, three times,
    unless they are all in the grid. ``most_sent`` is the largest share of samples that may go to
    the end.
    """
    found = trace_grid(outcomes, most_sent, most_vectors)
    most = max(len(np.unique(scores)) for scores in outcomes.scores)
    if not len(found) or most < _steps(outcomes, most_vectors):
        return found
    for _ in range(_ROUNDS):
        found = _improve(outcomes, found, most_sent)
    return found


def trace_grid(
    outcomes: Outcomes, most_sent: float = 1.0, most_vectors: int = MOST_VECTORS
) -> Frontier:
    """Return the frontier of a grid of vectors, ``most_vectors`` at most, exactly.

    Each exit has as many thresholds: all its scores if there are as few, else quantiles; the
    lowest lets every sample leave, the highest none.
    """
    steps = _steps(outcomes, most_vectors)
    return _tabulate(outcomes, _levels(outcomes, steps), most_sent)


def trace_sizes(outcomes: Outcomes, sizes: Floats, most_vectors: int) -> SizedFrontier:
    """Return the vectors of a grid that no other beats in cost, accuracy and size of what is sent.

    ``sizes`` (N,) are those of the samples if they go to the end.
    """
    steps = _steps(outcomes, most_vectors)
    levels = _levels(outcomes, steps)
    cost, accuracy, size = _sums(outcomes, levels, sizes)
    rows = unbeaten(np.stack([cost, -accuracy, size]))
    return SizedFrontier(_vectors(levels, rows), cost[rows], accuracy[rows], size[rows])


def unbeaten(axes: Floats) -> NDArray[np.int64]:
    """Return the columns of axes (3, P), the less the better, that no other column beats.

    One beats another that is nowhere less; of equal columns the first is kept. Differences by
    rounding count as none.
    """
    units = np.maximum(np.abs(axes).max(axis=1, keepdims=True), np.finfo(float).tiny)
    scaled = np.round(axes / units, 12)
    order = np.lexsort((scaled[2], scaled[1], scaled[0]))
    kept: list[int] = []
    seconds: list[float] = []  # of those kept, as far as none has less of both: rising,
    thirds: list[float] = []  # and falling with them
    for column, second, third in zip(order.tolist(), *scaled[1:, order].tolist(), strict=True):
        first = at = bisect_right(seconds, second)
        if at and thirds[at - 1] <= third:
            continue
        while at < len(thirds) and thirds[at] >= third:
            at += 1
        seconds[first:at], thirds[first:at] = [second], [third]
        kept.append(column)
    return np.array(kept, dtype=np.int64)


def _steps(outcomes: Outcomes, most_vectors: int) -> int:
    if 2**outcomes.exits > MOST_VECTORS:
        raise ConfigError(
            f"{outcomes.exits} exits are too many to set together; leave out all but "
            f"{int(np.log2(MOST_VECTORS))}"
        )
    return max(int(most_vectors ** (1 / outcomes.exits) + 1e-9), 2)


def _levels(outcomes: Outcomes, steps: int) -> list[Floats]:
    """Return rising thresholds for each exit: 0, scores, and one that closes it.

    Before that, one that watches the last exit, if the end answers together with it.
    """
    levels = []
    for scores in outcomes.scores:
        distinct = np.unique(scores)
        if len(distinct) >= steps:
            distinct = np.unique(np.quantile(scores, np.linspace(0, 1, steps - 1), method="higher"))
        levels.append(np.array([0.0, *distinct[1:], CLOSED]))
    if outcomes.joint_right is not None:
        levels[-1] = np.insert(levels[-1], -1, WATCHED)
    return levels


def _tabulate(outcomes: Outcomes, levels: list[Floats], most_sent: float) -> Frontier:
    """Return the frontier of the grid that the levels span."""
    cost, accuracy, sent = _sums(outcomes, levels, np.ones(outcomes.samples))
    kept = _best(cost, accuracy, sent, most_sent)
    return Frontier(_vectors(levels, kept), cost[kept], accuracy[kept], sent[kept])


def _sums(outcomes: Outcomes, levels: list[Floats], sizes: Array) -> tuple[Floats, Floats, Floats]:
    """Return, for every vector of the grid, mean cost, accuracy, and mean size of what is sent."""
    shape = tuple(len(level) for level in levels)
    bins = [
        np.searchsorted(level, scores, side="right") - 1
        for level, scores in zip(levels, outcomes.scores, strict=True)
    ]
    heads = np.zeros(outcomes.exits) if outcomes.heads is None else outcomes.heads
    alone, running = np.full(outcomes.exits, CLOSED), np.zeros(outcomes.exits)
    right = outcomes.right_under(running).astype(np.int8)
    everyone = np.ones(outcomes.samples)
    costs = outcomes.costs - np.append(np.cumsum(heads), heads.sum())
    rights, cost = np.array(float(right[0].sum())), np.array(costs[0] * outcomes.samples)
    stay, size = np.array(float(outcomes.samples)), np.zeros(())
    for at, head in enumerate(heads):
        cells = np.ravel_multi_index(tuple(bins[: at + 1]), shape[: at + 1])
        cost = cost[..., None] + head * stay[..., None] * (levels[at] < CLOSED)
        stay = _summed(cells, everyone, shape[: at + 1])
        cost = cost + (costs[at + 1] - costs[at]) * stay
        rights = rights[..., None] + _summed(cells, right[at + 1] - right[at], shape[: at + 1])
        if at + 1 == outcomes.exits:
            size = _summed(cells, sizes, shape)
            if outcomes.joint_right is not None:
                change = outcomes.right_under(alone)[-1].astype(np.int8) - right[-1]
                rights[..., -1] += _summed(cells, change, shape)[..., -1]
    cost, accuracy, size = (a.reshape(-1) / outcomes.samples for a in (cost, rights, size))
    return cost, accuracy, size


def _vectors(levels: list[Floats], rows: NDArray[np.int64]) -> Floats:
    """Return the threshold vectors of some rows of the grid."""
    shape = tuple(len(level) for level in levels)
    chosen = zip(levels, np.unravel_index(rows, shape), strict=True)
    return np.stack([level[steps] for level, steps in chosen], axis=1)


def _summed(cells: NDArray[np.int64], weights: Array, shape: tuple[int, ...]) -> Floats:
    """Return, for each entry, the sum of the weights in the cells below it on every axis."""
    table = np.bincount(cells, weights, minlength=int(np.prod(shape))).reshape(shape)
    for axis in range(len(shape)):
        table = np.roll(table, 1, axis)
        np.moveaxis(table, axis, 0)[0] = 0
        table = table.cumsum(axis)
    return np.asarray(table, dtype=np.float64)


def _improve(outcomes: Outcomes, found: Frontier, most_sent: float) -> Frontier:
    """Move each threshold of vectors that are spread over a frontier."""
    spread = np.unique(np.linspace(0, len(found) - 1, _MOVED).round().astype(int))
    right = _RightAnswers(outcomes)
    moved = [
        _undominated(_move(outcomes, right, found.thresholds[row], at), most_sent)
        for row in spread
        for at in range(outcomes.exits)
    ]
    return _undominated(_join([found, *moved]), most_sent)


class _RightAnswers:
    """Whether the answer is right at each place, int8 (E + 1, N), for any vector; computed once."""

    def __init__(self, outcomes: Outcomes) -> None:
        watched, closed = np.zeros(outcomes.exits), np.full(outcomes.exits, CLOSED)
        self._watched = outcomes.right_under(watched).astype(np.int8)
        self._closed = outcomes.right_under(closed).astype(np.int8)

    def under(self, thresholds: Floats) -> Array:
        """Return them where the last exit runs, or does not."""
        return self._watched if thresholds[-1] < CLOSED else self._closed


def _move(outcomes: Outcomes, right: _RightAnswers, thresholds: Floats, at: int) -> Frontier:
    """Return the vector with the threshold of one exit at each score of the samples there."""
    opened, closed = thresholds.copy(), thresholds.copy()
    opened[at], closed[at] = 0.0, CLOSED
    sure = outcomes.scores >= closed[:, None]
    places = np.where(sure.any(axis=0), sure.argmax(axis=0), outcomes.exits)
    reach = np.flatnonzero(~sure[:at].any(axis=0))
    order = reach[np.argsort(-outcomes.scores[at, reach], kind="stable")]
    scores = outcomes.scores[at, order]
    last = np.flatnonzero(np.diff(scores, append=-1.0))  # of each run of equal scores
    columns = np.arange(outcomes.samples)
    right_open, costs = right.under(opened), outcomes.costs_under(opened)

    def sums(now: Array, if_left: Array) -> Floats:
        """Return the mean with the exit closed, and with all down to each score leaving."""
        means = np.full(len(last) + 1, float(now.sum()))
        means[1:] += np.cumsum((if_left - now)[order], dtype=np.float64)[last]
        return np.asarray(means / outcomes.samples)

    rows = np.repeat(thresholds[None], len(last) + 1, axis=0)
    rows[0, at], rows[1:, at] = CLOSED, scores[last]
    cost = sums(costs[places], np.full(outcomes.samples, costs[at]))
    accuracy = sums(right_open[places, columns], right_open[at])
    cost[0] = outcomes.costs_under(closed)[places].mean()
    accuracy[0] = right.under(closed)[places, columns].mean()
    return Frontier(
        rows,
        cost,
        accuracy,
        sums((places == outcomes.exits).astype(float), np.zeros(outcomes.samples)),
    )


def _join(parts: list[Frontier]) -> Frontier:
    names = ("thresholds", "mean_cost", "accuracy", "sent_share")
    return Frontier(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _undominated(tried: Frontier, most_sent: float) -> Frontier:
    kept = _best(tried.mean_cost, tried.accuracy, tried.sent_share, most_sent)
    return Frontier(
        tried.thresholds[kept],
        tried.mean_cost[kept],
        tried.accuracy[kept],
        tried.sent_share[kept],
    )


def _best(cost: Floats, accuracy: Floats, sent: Floats, most_sent: float) -> NDArray[np.int64]:
    """Return the rows that no other matches in both, by cost; of equal rows the last.

    Costs and shares are sums of floats: what differs by rounding alone is equal.
    """
    allowed = np.flatnonzero(sent <= most_sent + _ROUNDING)[::-1]
    unit = max(float(cost.max()), np.finfo(float).tiny)
    ranked = np.lexsort((-np.round(accuracy[allowed], 12), np.round(cost[allowed] / unit, 12)))
    order = allowed[ranked]
    most = np.maximum.accumulate(accuracy[order])
    return order[np.diff(most, prepend=-1.0) > _ROUNDING]

"""The least cut between two terminals, by push-relabel in float64.

Goldberg and Tarjan's algorithm (JACM 1988) in the form of Cherkassky and Goldberg (Algorithmica
1997): first in, first out, with exact distances again and again. Its steps count, not its sums, so
it ends with any capacities, and an arc that is used up holds exactly zero. A cut needs its first
phase alone: what no longer reaches the server is the device's. Solvers of libraries want whole
numbers; scipy's, of 32 bits, took 2 to 24 times as long on graphs without pivots, once rounded.
"""

# numba compiles what follows; it knows types by itself.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"

from __future__ import annotations

import numpy as np

from offramp.compiled import compiled
from offramp.tensors import Array

__all__ = ["FlowNetwork"]


class FlowNetwork:
    """Arcs between ``count`` nodes, laid out once; capacities come with each question.

    ``origins`` and ``targets``, int64 (arcs,), say what each arc joins.
    """

    def __init__(self, count: int, origins: Array, targets: Array) -> None:
        keys = np.concatenate([origins * count + targets, targets * count + origins])
        entries, places = np.unique(keys, return_inverse=True)
        tails, self._heads = np.divmod(entries, max(count, 1))
        self._starts = np.searchsorted(tails, np.arange(count + 1))
        self._mates = np.searchsorted(entries, self._heads * count + tails)
        self._places = places[: len(origins)]

    def cut(self, supply: Array, drain: Array, capacities: Array, tolerance: float) -> Array:
        """Return which nodes are on the device in a least cut: bool (count,), the largest of all.

        ``supply`` is what the arcs from the device to each node carry, ``drain`` those on to the
        server, float64 (count,); ``capacities``, float64 (arcs,), may be infinite. Cuts no further
        apart than ``tolerance`` count as equal.
        """
        left = np.bincount(self._places, capacities, len(self._heads))
        labels = _push(self._starts, self._heads, self._mates, left, supply.copy(), drain.copy(),
                       tolerance / (len(left) + 2 * len(supply) + 1))  # fmt: skip
        return np.asarray(labels > len(labels))


@compiled
def _distances(starts, heads, mates, left, drain, least, labels):
    """Set each label to the fewest arcs to the server with more than ``least`` left."""
    count, first, last = len(labels), 0, 0
    queue = np.empty(count, np.int64)
    labels[:] = count + 1
    for node in range(count):
        if drain[node] > least:
            labels[node] = 1
            queue[last] = node
            last += 1
    while first < last:
        node = queue[first]
        first += 1
        for arc in range(starts[node], starts[node + 1]):
            other = heads[arc]
            if labels[other] > count and left[mates[arc]] > least:
                labels[other] = labels[node] + 1
                queue[last] = other
                last += 1


@compiled
def _lift(node, starts, heads, left, drain, least, labels):
    """Return one more than the least label that the node still reaches."""
    if drain[node] > least:
        return 1
    lowest = len(labels)
    for arc in range(starts[node], starts[node + 1]):
        if left[arc] > least:
            lowest = min(lowest, labels[heads[arc]])
    return lowest + 1


@compiled
def _push(starts, heads, mates, left, excess, drain, least):
    """Push all excess as far as it goes; return labels, beyond the count where it ends."""
    count = len(excess)
    labels, current = np.empty(count, np.int64), starts[:-1].copy()
    _distances(starts, heads, mates, left, drain, least, labels)
    queue, waiting = np.empty(count + 1, np.int64), np.zeros(count, np.bool_)
    first = last = work = 0
    for node in range(count):
        if excess[node] > least:
            queue[last], waiting[node] = node, True
            last += 1
    while first != last:
        node = queue[first]
        first = first + 1 if first < count else 0
        waiting[node] = False
        if drain[node] > least:
            sent = min(excess[node], drain[node])
            excess[node] -= sent
            drain[node] -= sent
        while excess[node] > least and labels[node] <= count:
            arc = current[node]
            if arc == starts[node + 1]:
                labels[node] = _lift(node, starts, heads, left, drain, least, labels)
                current[node] = starts[node]
                work += 12 + starts[node + 1] - starts[node]
                continue
            other = heads[arc]
            if left[arc] > least and labels[node] == labels[other] + 1:
                sent = min(excess[node], left[arc])
                excess[node] -= sent
                excess[other] += sent
                left[arc] -= sent
                left[mates[arc]] += sent
                if not waiting[other] and excess[other] > least:
                    queue[last], waiting[other] = other, True
                    last = last + 1 if last < count else 0
                if excess[node] <= least:
                    break
            current[node] += 1
        if work > 2 * count + len(heads):
            work = 0
            _distances(starts, heads, mates, left, drain, least, labels)
            current[:] = starts[:-1]
    _distances(starts, heads, mates, left, drain, least, labels)
    return labels

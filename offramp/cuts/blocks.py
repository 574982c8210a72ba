"""A graph between two cuts, taken apart at its pivots: the pieces that a minimum cut has to solve.

A pivot is an operation that every other one comes before or after. A closed set of operations
holds a pivot, and then all before it, or does not, and then nothing behind it. So every cut falls
between two neighbouring pivots: it holds one with all before it, and some of the operations
between. QDMP (Zhang et al., IEEE Internet of Things Journal 2021) does the same at cut vertices,
past which no value passes; a pivot's neighbours may read what lies further back.
"""

from __future__ import annotations

import numpy as np

from offramp.cuts.dag import Cut, Dag
from offramp.tensors import Array

__all__ = ["Blocks"]


class Blocks:
    """The operations between ``low`` and ``high``, in order, and the blocks between pivots.

    ``order`` lists them; their places are 1 to ``count``. All of ``low`` is at place 0, what lies
    outside of ``high`` at ``count`` + 1. ``place`` and ``last_reader``, int64 (n,), are the places
    of each operation and of the last that reads its value; a value that nobody reads has its own
    place. ``pivots`` are 0 and the places of pivots, ``starts`` and ``ends`` those before and after
    each block that holds an operation. ``block_of`` says for places 0 to ``count`` + 1 in which
    block one is, -1 for none; ``own`` and ``last`` the same for each operation and last reader.
    """

    def __init__(self, dag: Dag, low: Cut, high: Cut) -> None:
        self.order = np.flatnonzero(high & ~low)
        self.count = len(self.order)
        end = self.count + 1
        self.place = np.where(low, 0, end)
        self.place[self.order] = np.arange(1, end)
        makers, readers = dag.arcs
        to = self.place[readers]
        self.last_reader = self.place.copy()
        np.maximum.at(self.last_reader, makers, to)
        self.pivots = self._find_pivots(self.place[makers], to)
        bounds = np.append(self.pivots, end)
        holds = np.diff(bounds) > 1
        self.starts, self.ends = bounds[:-1][holds], bounds[1:][holds]
        self.block_of = np.full(end + 1, -1)
        sizes = self.ends - self.starts - 1
        inside = np.ones(end + 1, bool)
        inside[bounds] = False
        self.block_of[inside] = np.repeat(np.arange(len(sizes)), sizes)
        self.own, self.last = self.block_of[self.place], self.block_of[self.last_reader]

    def _find_pivots(self, makers: Array, readers: Array) -> Array:
        """Return 0 and the places of pivots.

        Every earlier operation comes before v if each has a reader no later than v, every later one
        after it if each reads something no earlier than v: go on from reader to reader.
        """
        end = self.count + 1
        first_reader, last_made = np.full(end + 1, end), np.zeros(end + 1, np.int64)
        np.minimum.at(first_reader, makers, readers)
        np.maximum.at(last_made, readers, makers)
        first_reader[0], last_made[end] = 0, end
        before = np.maximum.accumulate(first_reader)[:-2]
        after = np.minimum.accumulate(last_made[::-1])[::-1][2:]
        places = np.arange(1, end)
        return np.concatenate([[0], places[(before <= places) & (places <= after)]])

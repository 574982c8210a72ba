"""A graph of operations with what each costs on either side, and what a cut of it costs.

A cut is a set of operations that run on the device, closed under what they read; the rest runs on
the server. Its latency is the device's time of the set, the server's time of the rest and the
transfer of every value that crosses, each once, however many operations read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from offramp.tensors import Array

__all__ = ["Cut", "Dag", "Line", "weigh"]

Cut = Array
"""A bool array (n,): which operations run on the device."""


@dataclass(frozen=True)
class Line:
    """A cut's latency: ``seconds + bytes * (seconds per byte)``, affine in the inverse rate."""

    seconds: float
    bytes: float

    def at(self, s_per_byte: float) -> float:
        """Return the latency in seconds at an inverse rate."""
        return self.seconds + self.bytes * s_per_byte

    def crosses(self, other: Line) -> float:
        """Return the inverse rate at which both cost the same; nan where none or every one does."""
        apart = self.bytes - other.bytes
        return (other.seconds - self.seconds) / apart if apart else np.nan


@dataclass(frozen=True)
class Dag:
    """n operations in topological order.

    ``reads[v]`` are the operations whose values v reads. ``device_s`` and ``server_s``, float64
    (n,), are their times; an infinite time keeps an operation off that side, as the model's inputs
    are kept off the server. ``out_bytes``, float64 (n,), is the size of the value that an operation
    makes; infinite if it may not cross.
    """

    reads: tuple[tuple[int, ...], ...]
    device_s: Array
    server_s: Array
    out_bytes: Array

    @cached_property
    def arcs(self) -> tuple[Array, Array]:
        """Who makes and who reads, for every pair of the two: int64 arrays (arcs,)."""
        pairs = [(maker, reader) for reader, made in enumerate(self.reads) for maker in set(made)]
        makers, readers = zip(*pairs, strict=True) if pairs else ((), ())
        return np.array(makers, np.int64), np.array(readers, np.int64)

    def sent_s(self, s_per_byte: float) -> Array:
        """Return what it takes to send each value, float64 (n,)."""
        return weigh(self.out_bytes, s_per_byte)

    def __len__(self) -> int:
        return len(self.reads)

    def is_closed(self, cut: Cut) -> bool:
        """Tell whether nothing on the device reads what the server makes."""
        makers, readers = self.arcs
        return not bool(np.any(cut[readers] & ~cut[makers]))

    def close(self, cut: Cut) -> Cut:
        """Return the cut with everything that its operations need, directly or not."""
        closed = cut.copy()
        for at in reversed(range(len(self))):
            if closed[at]:
                closed[list(self.reads[at])] = True
        return closed

    def after(self, at: int) -> Cut:
        """Return every operation that needs the value of ``at``, directly or not."""
        found = np.zeros(len(self), bool)
        for reader in range(at + 1, len(self)):
            found[reader] = any(maker == at or found[maker] for maker in self.reads[reader])
        return found

    def crossing(self, cut: Cut) -> list[int]:
        """Return the operations on the device whose values the server reads."""
        makers, readers = self.arcs
        crosses = np.zeros(len(self), bool)
        crosses[makers[cut[makers] & ~cut[readers]]] = True
        return np.flatnonzero(crosses).tolist()

    def line(self, cut: Cut) -> Line:
        """Return a cut's latency over the inverse rate; ``cut`` must be closed."""
        seconds = self.device_s[cut].sum() + self.server_s[~cut].sum()
        return Line(float(seconds), float(self.out_bytes[self.crossing(cut)].sum()))

    def prefixes(self, low: Cut, high: Cut) -> Iterator[Cut]:
        """Yield the closed sets strictly between two, one operation at a time in order."""
        between = np.flatnonzero(high & ~low)
        grown = low.copy()
        for at in between[:-1]:
            grown = grown.copy()
            grown[at] = True
            yield grown


def weigh(costs: Array, weight: Array | float) -> Array:
    """Return costs times a weight of 0 or more; what is infinite stays, whatever it weighs."""
    forbidden = np.isinf(costs)
    return np.where(forbidden, np.inf, np.where(forbidden, 0, costs) * weight)

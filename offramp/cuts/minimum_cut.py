"""The cut of least latency at one rate, as a minimum s-t cut (DADS, Hu et al., INFOCOM 2019).

Every operation v hangs between the source (device) and the sink (server): the arc from the source,
cut when v runs on the server, carries the server's time; the arc to the sink the device's. A value
with several readers gets a node of its own, reached by one arc that carries its transfer time, so
that it is paid once for all who read it. Arcs of infinite capacity from reader to maker forbid that
the device reads what the server made: DADS's published code lacks them, and its cuts can be
infeasible.

Only blocks between neighbouring pivots (`blocks`) go to the solver, all at once and side by side,
and of those only blocks that could hold something as good as the best prefix of the order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offramp.cuts.blocks import Blocks
from offramp.cuts.dag import Cut, Dag
from offramp.cuts.layout import Layout, Load
from offramp.tensors import Array

__all__ = ["PRECISION", "Cutter", "minimum_cut"]

PRECISION = 1e-9
"""Costs closer than this share of the least are equal."""
_LEAST = 1e-30
"""Stands for a least cost of zero, next to which any other cost is large."""


def minimum_cut(dag: Dag, s_per_byte: float, low: Cut, high: Cut) -> Cut:
    """Return the cut of least latency between two closed cuts, ``low`` inside ``high``.

    ValueError if none has a finite latency. To ask more than once, keep a `Cutter`.
    """
    return Cutter(dag, low, high).cut(dag.device_s, dag.server_s, dag.sent_s(s_per_byte))


def _under(ceiling: float, costs: Sequence[Array]) -> list[Array]:
    return [np.minimum(cost, ceiling) for cost in costs]


class Cutter:
    """Finds minimum cuts of one graph between ``low`` and ``high``, laid out once for all costs.

    Of cuts equally good it finds the largest: an operation that costs nothing stays with its maker.
    """

    def __init__(self, dag: Dag, low: Cut, high: Cut) -> None:
        self._blocks = blocks = Blocks(dag, low, high)
        self._layout = Layout(dag, blocks)
        made = blocks.place <= blocks.count
        self._read = np.flatnonzero(made & (blocks.last_reader > blocks.place))

    def cut(self, device_s: Array, server_s: Array, out_s: Array) -> Cut:
        """Return the cut of least cost, given what each operation costs on either side.

        All three are float64 (n,), not negative, perhaps infinite; ``out_s`` is what it costs to
        send each value. ValueError if every cut costs infinitely much.
        """
        costs = (device_s, server_s, out_s)
        ceiling = 2 * sum(float(cost[np.isfinite(cost)].sum()) for cost in costs) + _LEAST
        least = float(self._reckon(*_under(ceiling, costs))[0].min())
        if least >= ceiling:  # no prefix is allowed; another cut may be
            least = self._best(_under(ceiling, costs))[0]
            if least >= ceiling:
                raise ValueError("no cut between the two is allowed")
        # What costs more than a cut known is in no better one; less digits are lost with less.
        return self._best(_under(max(2 * least, _LEAST), costs))[1]

    def _reckon(self, device_s: Array, server_s: Array, out_s: Array) -> tuple[Array, Array]:
        """Return what the prefixes of the order cost, and each block in any case but its insides.

        The first are float64 (count + 1,), the second (blocks,).
        """
        blocks, foreign = self._blocks, self._layout.foreign
        size = blocks.count + 2
        on_device = np.cumsum(np.bincount(blocks.place, device_s, size))
        on_server = np.cumsum(np.bincount(blocks.place, server_s, size)[::-1])[::-1]
        read, sent = self._read, out_s[self._read]
        crossing = np.cumsum(
            np.bincount(blocks.place[read], sent, size)
            - np.bincount(blocks.last_reader[read], sent, size)
        )
        insides = np.bincount(self._layout.foreign_block, out_s[foreign], len(blocks.starts))
        fixed = on_device[blocks.starts] + on_server[blocks.ends] + crossing[blocks.starts]
        return on_device[:-1] + on_server[1:] + crossing[:-1], fixed - insides

    def _best(self, costs: Sequence[Array]) -> tuple[float, Cut]:
        """Return the least cost and its largest cut, of pivots' prefixes and what blocks hold."""
        blocks, layout = self._blocks, self._layout
        prefixes, fixed = self._reckon(*costs)
        load = layout.load(*costs)
        fixed = fixed + np.bincount(layout.block, load.least, len(fixed))
        tolerance = PRECISION * max(float(prefixes.min()), _LEAST)
        live = fixed <= prefixes.min() + tolerance
        found, held = self._solve(fixed, load, live, tolerance)
        ends = np.concatenate([prefixes[blocks.pivots], found])
        sizes = np.concatenate([blocks.pivots, blocks.starts + 0.5])
        best = np.flatnonzero(ends <= ends.min() + tolerance)
        chosen = int(best[np.argmax(sizes[best])])
        cut = blocks.place <= int(sizes[chosen])
        block = chosen - len(blocks.pivots)
        if block >= 0:
            cut[layout.inner[held & (layout.block == block)]] = True
        return float(ends.min()), np.asarray(cut)

    def _solve(
        self, fixed: Array, load: Load, live: Array, tolerance: float
    ) -> tuple[Array, Array]:
        """Return what the best cut within each block costs, and which inner operations it holds.

        They are float64 (blocks,), infinite for blocks that are not ``live``, and bool (inner,).
        """
        layout = self._layout
        if not live.any():
            return np.full(len(fixed), np.inf), np.zeros(len(layout.inner), bool)
        block = layout.node_block
        supply = np.where(live[block], load.supply, 0.0)
        held = layout.network.cut(supply, load.drain, load.capacities, tolerance)
        crosses = held[layout.origins] & ~held[layout.targets]
        paid = (
            np.bincount(block[~held], load.supply[~held], len(fixed))
            + np.bincount(block[held], load.drain[held], len(fixed))
            + np.bincount(block[layout.origins[crosses]], load.capacities[crosses], len(fixed))
        )
        return np.where(live, fixed + paid, np.inf), held[: len(layout.inner)]

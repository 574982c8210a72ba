"""The cut of least latency at one rate, as a minimum s-t cut (DADS, Hu et al., INFOCOM 2019).

Every operation v hangs between the source (device) and the sink (server): the arc from the source,
cut when v runs on the server, carries the server's time; the arc to the sink the device's. A value
gets a node of its own, reached by one arc that carries its transfer time, so that it is paid once
for all who read it. Arcs of infinite capacity from reader to maker forbid that the device reads
what the server made: DADS's published code lacks them, and its cuts can be infeasible.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from offramp.capture.dag import Cut, Dag

__all__ = ["minimum_cut"]

# The solver adds two capacities in an int32; what may never be cut exceeds every sensible cut.
_ENDLESS = 1 << 29
_BOUND = _ENDLESS >> 1


def minimum_cut(dag: Dag, s_per_byte: float, low: Cut, high: Cut) -> Cut:
    """Return the cut of least latency between two closed cuts, ``low`` inside ``high``.

    Of cuts equally good it is the largest: an operation that costs nothing stays with its maker.
    One of ``low`` and ``high`` must be allowed, that is have a finite latency. Times are rounded to
    a 2^-29 part of the latency of the better one.
    """
    bound = min(dag.line(low).at(s_per_byte), dag.line(high).at(s_per_byte))
    if not np.isfinite(bound):
        raise ValueError("neither of the two outer cuts is allowed")
    count = len(dag)
    source, sink = 2 * count, 2 * count + 1
    nodes = np.arange(count)
    makers, readers = dag.arcs
    endless = np.full(len(makers), np.inf)
    arcs = [
        (np.full(count, source), nodes, np.where(low, np.inf, dag.server_s)),
        (nodes, np.full(count, sink), np.where(high, dag.device_s, np.inf)),
        (nodes, nodes + count, dag.out_bytes * s_per_byte),
        (makers + count, readers, endless),
        (readers, makers, endless),
    ]
    origins, targets, times_s = (np.concatenate(part) for part in zip(*arcs, strict=True))
    scale = _BOUND / max(bound, 1e-12)
    capacities = np.minimum(times_s * scale, _ENDLESS).round().astype(np.int32)
    graph = csr_array((capacities, (origins, targets)), shape=(2 * count + 2, 2 * count + 2))
    residual = graph - maximum_flow(graph, source, sink).flow
    residual.eliminate_zeros()
    reaches_sink = breadth_first_order(residual.T.tocsr(), sink, return_predecessors=False)
    cut = np.ones(2 * count + 2, bool)
    cut[reaches_sink] = False
    return cut[:count]

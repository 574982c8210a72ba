"""Cutting: a captured graph becomes an ordered list of segments.

Any set of operations that is closed under what they read may be the device's, so several tensors
may cross a cut, skip connections among them. What is made from weights and the batch size alone, or
from the inputs by index arithmetic and light operations (attention masks, the conversion of an
image), never crosses: each segment that needs it works it out again.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from offramp.capture.chain import Chain, build_chain
from offramp.capture.costs import measure_s, reckon_s
from offramp.capture.extraction import Segment, extract
from offramp.capture.graph import CapturedGraph
from offramp.capture.operations import Operations
from offramp.cuts.dag import Cut, Dag
from offramp.cuts.minimum_cut import minimum_cut
from offramp.errors import CaptureError
from offramp.tensors import TensorSpec

__all__ = ["CutModel", "Segment", "cut_graph"]

SLOWDOWN = 8.0
"""How much slower the device is taken to be; any factor gives the same chain (`chain`)."""


@dataclass(frozen=True)
class CutModel:
    """A graph cut into K segments, with the K + 1 boundaries before, between and after them.

    ``places`` says for each sub-module that a cut was asked after which boundary that became, and
    by which name its output is among the boundary's tensors.
    """

    operations: Operations
    dag: Dag
    chain: Chain
    segments: tuple[Segment, ...]
    boundaries: tuple[tuple[TensorSpec, ...], ...]
    places: Mapping[str, tuple[int, str]]

    def segment_of(self, at: int) -> int | None:
        """Return the segment that runs an operation; None for one of the model's inputs."""
        first = next(cut for cut, inside in enumerate(self.chain.cuts) if inside[at])
        return first - 1 if first else None


def cut_graph(
    graph: CapturedGraph, examples: Sequence[Tensor] | None, after: Sequence[str], most: int
) -> CutModel:
    """Cut into at most ``most`` segments, where cuts pay, and after each sub-module in ``after``.

    ``examples`` are the inputs on which operations are timed; without any, times are reckoned, so
    that the same graph is always cut alike. Raises `CaptureError` if no cut
    after one of the sub-modules can have its output cross.
    """
    operations = Operations(graph)
    times = measure_s(graph.module, examples) if examples else reckon_s(graph.module)
    dag = operations.dag(times, SLOWDOWN)
    ends = {name: operations.end_of(name) for name in after}
    ordered = sorted(set(ends.values()))
    fixed: list[Cut] = []
    for end in ordered:
        earlier = fixed[-1] if fixed else np.isinf(dag.server_s)
        fixed.append(_cut_after(dag, end, earlier, operations.nodes[end].name))
    chain = build_chain(dag, fixed, max(most, len(fixed) + 1))
    segments = [extract(operations, dag, *ends) for ends in itertools.pairwise(chain.cuts)]
    boundaries = [
        tuple(graph.spec(node) for node in graph.inputs),
        *(_specs(operations, dag.crossing(cut)) for cut in chain.cuts[1:-1]),
        tuple(graph.spec(node) for node in graph.outputs),
    ]
    keys = [cut.tobytes() for cut in chain.cuts]
    places = {
        name: (keys.index(fixed[ordered.index(end)].tobytes()), operations.nodes[end].name)
        for name, end in ends.items()
    }
    return CutModel(operations, dag, chain, tuple(segments), tuple(boundaries), places)


def _cut_after(dag: Dag, end: int, earlier: Cut, name: str) -> Cut:
    """Return the cut of least bytes at which the value of ``end`` crosses."""
    low = earlier.copy()
    low[end] = True
    low, high = dag.close(low), ~dag.after(end)
    sink = len(dag) - 1
    if (low & ~high).any() or high[:sink].all():
        raise CaptureError(f"no cut can follow {name!r}; choose another sub-module")
    # Of equal bytes the smallest set wins: each operation costs a millionth of the bytes known.
    unit = 1e-6 * float(dag.out_bytes[np.isfinite(dag.out_bytes)].max())
    server_s = np.where(np.isinf(dag.server_s), np.inf, 0.0)
    bytes_only = Dag(dag.reads, np.full(len(dag), unit), server_s, dag.out_bytes)
    try:
        return minimum_cut(bytes_only, 1.0, low, high)
    except ValueError:
        raise CaptureError(
            f"what crosses after {name!r} is not one row a sample; choose another sub-module"
        ) from None


def _specs(operations: Operations, places: Sequence[int]) -> tuple[TensorSpec, ...]:
    return tuple(operations.graph.spec(operations.nodes[at]) for at in places)

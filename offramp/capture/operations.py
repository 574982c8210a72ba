"""The operations of a captured graph that have to run once, on one side or the other.

The rest is *repeated*: each segment that needs it works it out again, so it never crosses. That is
what is made from weights and the batch size alone, and what is made from the inputs by light
operations or index arithmetic: attention masks, positions, an image turned into floats.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, fx

from offramp.capture.costs import count_macs, is_light
from offramp.capture.graph import CapturedGraph
from offramp.cuts.dag import Dag
from offramp.errors import CaptureError, ConfigError

__all__ = ["Operations"]


class Operations:
    """A graph's inputs and operations by place, and the model's end as the last place.

    ``nodes`` are the inputs, then the operations in order; the end, place ``len(nodes)``, reads
    every output. ``macs`` are each operation's multiply-adds for one sample.
    """

    def __init__(self, graph: CapturedGraph) -> None:
        self.graph = graph
        self._repeated = _find_repeated(graph)
        self.nodes = [
            *graph.inputs,
            *(
                node
                for node in graph.module.graph.nodes
                if node.op == "call_function" and node not in self._repeated
            ),
        ]
        self.place = {node: at for at, node in enumerate(self.nodes)}
        self.macs = count_macs(graph.module)
        self._behind: dict[fx.Node, set[int]] = {}

    def is_repeated(self, node: fx.Node) -> bool:
        """Tell whether each segment that needs a value works it out again."""
        return node in self._repeated

    def reads(self, node: fx.Node) -> set[int]:
        """Return the places whose values an operation needs, through what is repeated too."""
        return set().union(*(self._sources(source) for source in node.all_input_nodes))

    def dag(self, times_s: Mapping[fx.Node, float], slowdown: float) -> Dag:
        """Return the graph; the server's times are given, the device's are ``slowdown`` as long."""
        inputs, count = len(self.graph.inputs), len(self.nodes)
        server_s = np.array([0.0 if is_light(n) else times_s[n] for n in self.nodes] + [0.0])
        device_s = server_s * slowdown
        server_s[:inputs], device_s[:inputs] = np.inf, 0.0
        sizes = [self._bytes(node) for node in self.nodes]
        end = set().union(*(self._sources(node) for node in self.graph.outputs))
        reads = [() if at < inputs else tuple(sorted(self.reads(self.nodes[at])))
                 for at in range(count)]  # fmt: skip
        return Dag((*reads, tuple(sorted(end))), device_s, server_s, np.array([*sizes, np.inf]))

    def end_of(self, module: str) -> int:
        """Return the place of the last operation of a sub-module."""
        inside = [
            at
            for at, node in enumerate(self.nodes)
            if any(
                path == module or path.startswith(module + ".")
                for path, _ in node.meta.get("nn_module_stack", {}).values()
            )
        ]
        if not inside:
            raise CaptureError(f"no operation of the graph comes from sub-module {module!r}")
        return inside[-1]

    def _sources(self, node: fx.Node) -> set[int]:
        """Return the places of a value itself, or of what it is repeated from."""
        if node in self.place:
            return {self.place[node]}
        if node not in self._repeated or isinstance(node.meta.get("val"), torch.SymInt):
            return set()
        if node not in self._behind:
            self._behind[node] = self.reads(node)
        return self._behind[node]

    def _bytes(self, node: fx.Node) -> float:
        if self.graph.batch_dimension(node) is None:
            return np.inf
        try:
            return float(self.graph.spec(node).nbytes)
        except ConfigError:  # it has more dimensions or elements than a frame may
            return np.inf


def _find_repeated(graph: CapturedGraph) -> set[fx.Node]:
    """Return what is made without the inputs, or from them by light or index operations."""
    unmoved: set[fx.Node] = set()  # made without the inputs
    repeated: set[fx.Node] = set()
    near = set(graph.inputs)
    for node in graph.module.graph.nodes:
        if node.op == "get_attr":
            unmoved.add(node)
        elif node.op == "call_function":
            sources = set(node.all_input_nodes)
            if isinstance(node.meta.get("val"), torch.SymInt) or sources <= unmoved:
                unmoved.add(node)
                repeated.add(node)
            elif sources <= unmoved | near and (is_light(node) or _is_index(node)):
                near.add(node)
                repeated.add(node)
    return repeated


def _is_index(node: fx.Node) -> bool:
    made = node.meta.get("val")
    return isinstance(made, Tensor) and not made.dtype.is_floating_point

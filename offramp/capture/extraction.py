"""Extraction: the operations between two cuts become a module of their own."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
import torch
from torch import fx, nn

from offramp.capture.graph import line_of
from offramp.capture.operations import Operations
from offramp.cuts.dag import Cut, Dag
from offramp.errors import CaptureError
from offramp.tensors import TensorSpec

__all__ = ["Segment", "extract"]


@dataclass(frozen=True)
class Segment:
    """The operations between two neighbouring cuts, as a module of their own.

    ``reads`` are what the module takes, ``makes`` what it returns; ``macs`` are per sample.
    """

    module: fx.GraphModule
    reads: tuple[TensorSpec, ...]
    makes: tuple[TensorSpec, ...]
    macs: int


def extract(operations: Operations, dag: Dag, low: Cut, high: Cut) -> Segment:
    """Return what runs between two cuts, ``low`` inside ``high``."""
    end = len(operations.nodes)
    inside = high & ~low
    places = [int(at) for at in np.flatnonzero(inside[:end])]
    makers = {maker for at in np.flatnonzero(inside) for maker in dag.reads[at]}
    reads = sorted(maker for maker in makers if low[maker])
    nodes = [operations.nodes[at] for at in places]
    if high[end]:
        makes = [n for n in operations.graph.outputs if not _passes(operations, n, low)]
    else:
        makes = [operations.nodes[at] for at in dag.crossing(high) if inside[at]]
    given = [operations.nodes[at] for at in reads]
    writer = _Writer(operations, given)
    for node in nodes:
        writer.add(node)
    return Segment(
        writer.finish(makes),
        tuple(operations.graph.spec(node) for node in given),
        tuple(operations.graph.spec(node) for node in makes),
        sum(operations.macs[node] for node in nodes),
    )


def _passes(operations: Operations, output: fx.Node, low: Cut) -> bool:
    """Tell whether an output was there before the last segment."""
    return output in operations.place and bool(low[operations.place[output]])


def _batch_first(operations: Operations, node: fx.Node) -> list[int]:
    """Return a value's dimensions with that of the batch in front."""
    dimension = operations.graph.batch_dimension(node)
    rest = [at for at in range(node.meta["val"].dim()) if at != dimension]
    return rest if dimension is None else [dimension, *rest]


class _Writer:
    """Copies operations into a new module, and with them the weights and what is repeated.

    What crosses has the batch first: where the model has it elsewhere, it is moved there and back.
    """

    def __init__(self, operations: Operations, reads: list[fx.Node]) -> None:
        self._operations = operations
        self._root, self._graph = nn.Module(), fx.Graph()
        self._made = {}
        given = {node: self._graph.placeholder(node.name) for node in reads}
        self._first = given[reads[0]]
        for node, placeholder in given.items():
            order = _batch_first(operations, node)
            back = [order.index(at) for at in range(len(order))]
            self._made[node] = self._permute(placeholder, back)
            placeholder.meta = {**node.meta, "val": node.meta["val"].permute(order)}
        self._size: fx.Node | None = None

    def add(self, node: fx.Node) -> None:
        """Copy an operation, after what it needs."""
        for source in node.all_input_nodes:
            self._value(source)
        self._made[node] = self._graph.node_copy(node, self._made.__getitem__)

    def finish(self, makes: list[fx.Node]) -> fx.GraphModule:
        """Return the module."""
        self._graph.output(
            tuple(
                self._permute(self._value(node), _batch_first(self._operations, node))
                for node in makes
            )
        )
        return fx.GraphModule(self._root, self._graph)

    def _permute(self, value: fx.Node, order: list[int]) -> fx.Node:
        if order == sorted(order):
            return value
        return self._graph.call_function(torch.ops.aten.permute.default, (value, order))

    def _value(self, node: fx.Node) -> Any:
        if node in self._made:
            return self._made[node]
        size = node.meta.get("val")
        if isinstance(size, torch.SymInt):
            self._made[node] = self._reckon(size.node.expr, node)
        elif node.op == "get_attr":
            module = self._operations.graph.module
            self._root.register_buffer(node.name, module.get_buffer(str(node.target)))
            self._made[node] = self._graph.get_attr(node.name)
            self._made[node].meta = dict(node.meta)
        else:
            self.add(node)
        return self._made[node]

    def _reckon(self, size: Any, node: fx.Node) -> Any:
        """Work a size out from the batch size, which is read off the segment's first tensor."""
        if isinstance(size, sympy.Integer):
            return int(size)
        if size in self._operations.graph.batch:
            if self._size is None:
                self._size = self._graph.call_function(
                    torch.ops.aten.sym_size.int, (self._first, 0)
                )
            return self._size
        steps = {sympy.Add: operator.add, sympy.Mul: operator.mul}
        step = steps.get(size.func)
        if step is None and type(size).__name__ == "FloorDiv":
            step = operator.floordiv
        if step is None:
            raise CaptureError(
                f"a size depends on the batch as {size}{line_of(node)}; use sizes that are "
                "multiples of it"
            )
        value, *rest = (self._reckon(part, node) for part in size.args)
        for other in rest:
            value = self._graph.call_function(step, (value, other))
        return value

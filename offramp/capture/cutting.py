"""Cutting: a captured graph becomes an ordered list of segments.

A cut is possible after a node if what crosses it is one tensor whose first dimension is the
batch. The batch size itself may be needed on both sides: each segment reads it from its input.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils.flop_counter import FlopCounterMode

from offramp.capture.folding import fold_batch_norm
from offramp.errors import CaptureError
from offramp.tensors import TensorSpec

__all__ = ["Segment", "cut_graph"]

_HEAVY = ("conv", "linear", "mm", "attention", "lstm", "gru", "embedding")


@dataclass(frozen=True)
class Segment:
    """Neighbouring nodes of a graph as a module of their own; ``macs`` are per sample."""

    module: fx.GraphModule
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    macs: int


def cut_graph(
    program: ExportedProgram, after: Sequence[str], max_segments: int
) -> tuple[list[Segment], dict[str, int]]:
    """Cut at block boundaries into at most ``max_segments`` segments of similar work.

    ``after`` names sub-modules of the model; there is always a cut after each of them. Returns
    the segments and, for each name in ``after``, the boundary that its output became.
    """
    graph = _Graph(program)
    graph.check_outputs()
    forced = {name: graph.end_of(name) for name in after}
    possible = {cut for cut in range(len(graph.nodes) - 1) if graph.may_cut(cut)}
    for name, cut in forced.items():
        if cut not in possible:
            raise CaptureError(
                f"more than one tensor crosses the graph after {name!r}; "
                "put the exit after a block where the paths have met again"
            )
    proposed = {cut for cut in possible if graph.is_heavy(cut + 1)} | set(forced.values())
    cuts = graph.thin(sorted(proposed), set(forced.values()), max_segments)
    edges = [-1, *cuts, len(graph.nodes) - 1]
    segments = [graph.extract(*edge) for edge in itertools.pairwise(edges)]
    return segments, {name: edges.index(cut) for name, cut in forced.items()}


class _Graph:
    """A captured graph's operations in order, with what crosses after each of them."""

    def __init__(self, program: ExportedProgram) -> None:
        specs = program.graph_signature.input_specs
        placeholders = [n for n in program.graph.nodes if n.op == "placeholder"]
        weights = {**program.state_dict, **program.constants}
        self.inputs: list[fx.Node] = []
        self.weights: dict[fx.Node, Tensor] = {}
        for node, spec in zip(placeholders, specs, strict=True):
            if spec.kind is InputKind.USER_INPUT:
                self.inputs.append(node)
            else:
                self.weights[node] = weights[str(spec.target)]
        self.outputs = _user_outputs(program)
        self.nodes = [n for n in program.graph.nodes if n.op == "call_function" and n.users]
        self.batch = self.inputs[0].meta["val"].shape[0]
        place = {node: at for at, node in enumerate(self.nodes)}
        place.update(dict.fromkeys(self.inputs, -1))
        self.place = place
        self.last_use = {node: max(place.get(user, -1) for user in node.users) for node in place}
        for node in self.outputs:
            self.last_use[node] = len(self.nodes)
        self.macs = _count_macs(program)

    def check_outputs(self) -> None:
        """Raise `CaptureError` unless every output has one row a sample."""
        for node in self.outputs:
            if not self._is_batched(node):
                raise CaptureError(
                    f"output {node.name!r} does not have the batch as its first dimension alone; "
                    "return one row for each sample"
                )

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

    def may_cut(self, cut: int) -> bool:
        """Tell whether one tensor, with the batch first, is all that crosses after ``cut``."""
        crossing = self.crossing(cut)
        return len(crossing) == 1 and self._is_batched(crossing[0])

    def crossing(self, cut: int) -> list[fx.Node]:
        """Return the values made up to ``cut`` that are used after it."""
        return [
            node
            for node, at in self.place.items()
            if at <= cut < self.last_use[node] and not self._is_batch_size(node)
        ]

    def is_heavy(self, at: int) -> bool:
        """Tell whether an operation does the kind of work that begins a block."""
        return any(word in str(self.nodes[at].target) for word in _HEAVY)

    def thin(self, cuts: list[int], keep: set[int], max_segments: int) -> list[int]:
        """Drop the cuts between the least work until ``max_segments`` remain."""
        cuts = list(cuts)
        while len(cuts) >= max_segments and set(cuts) - keep:
            edges = [-1, *cuts, len(self.nodes) - 1]
            merged = {
                cut: sum(self.macs.get(n, 0) for n in self.nodes[before + 1 : after + 1])
                for before, cut, after in zip(edges, cuts, edges[2:], strict=False)
                if cut not in keep
            }
            cuts.remove(min(merged, key=lambda cut: (merged[cut], -cut)))
        return cuts

    def extract(self, before: int, last: int) -> Segment:
        """Make a module of the operations after place ``before`` up to place ``last``."""
        inputs = self.inputs if before < 0 else self.crossing(before)
        outputs = self.outputs if last == len(self.nodes) - 1 else self.crossing(last)
        root, graph = nn.Module(), fx.Graph()
        made = {node: graph.placeholder(node.name) for node in inputs}

        def value(node: fx.Node) -> fx.Node:
            if node not in made:
                if node in self.weights:
                    root.register_buffer(node.name, self.weights[node].detach())
                    made[node] = graph.get_attr(node.name)
                else:  # the batch size is all else that may come from before
                    made[node] = graph.call_function(
                        torch.ops.aten.sym_size.int, (made[inputs[0]], 0)
                    )
            return made[node]

        for node in self.nodes[before + 1 : last + 1]:
            for argument in node.all_input_nodes:
                value(argument)
            made[node] = graph.node_copy(node, value)
        graph.output(tuple(value(node) for node in outputs))
        module = fx.GraphModule(root, graph)
        fold_batch_norm(module)
        return Segment(
            module,
            tuple(_spec(node) for node in inputs),
            tuple(_spec(node) for node in outputs),
            sum(self.macs.get(node, 0) for node in self.nodes[before + 1 : last + 1]),
        )

    def _is_batch_size(self, node: fx.Node) -> bool:
        made = node.meta.get("val")
        return isinstance(made, torch.SymInt | int) and str(made) == str(self.batch)

    def _is_batched(self, node: fx.Node) -> bool:
        made = node.meta.get("val")
        return (
            isinstance(made, Tensor)
            and made.dim() > 0
            and str(made.shape[0]) == str(self.batch)
            and all(isinstance(side, int) for side in made.shape[1:])
        )


def _user_outputs(program: ExportedProgram) -> list[fx.Node]:
    (output,) = (n for n in program.graph.nodes if n.op == "output")
    specs = program.graph_signature.output_specs
    values = [
        value
        for value, spec in zip(output.args[0], specs, strict=True)
        if spec.kind is OutputKind.USER_OUTPUT
    ]
    if not values or not all(isinstance(value, fx.Node) for value in values):
        raise CaptureError("the model must return tensors, alone or as a tuple, list or mapping")
    return values


def _count_macs(program: ExportedProgram) -> dict[fx.Node, int]:
    """Count each operation's multiply-adds per sample by running the graph once on zeros."""
    macs: dict[fx.Node, int] = {}

    class Counter(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            with FlopCounterMode(display=False) as counter:
                result = super().run_node(n)
            macs[n] = counter.get_total_flops() // 2
            return result

    weights = {**program.state_dict, **program.constants}
    values = []
    for node, spec in zip(program.graph.nodes, program.graph_signature.input_specs, strict=False):
        if spec.kind is InputKind.USER_INPUT:
            made = node.meta["val"]
            values.append(torch.zeros(1, *made.shape[1:], dtype=made.dtype))
        else:
            values.append(weights[str(spec.target)])
    with torch.no_grad():
        Counter(program.graph_module, garbage_collect_values=True).run(*values)
    return macs


def _spec(node: fx.Node) -> TensorSpec:
    made = node.meta["val"]
    dtype = str(made.dtype).removeprefix("torch.")
    return TensorSpec(node.name, dtype, tuple(int(side) for side in made.shape[1:]))

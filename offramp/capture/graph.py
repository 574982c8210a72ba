"""The captured graph: operations, weights and named inputs and outputs, ready to be cut."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

from offramp.capture.folding import fold_batch_norm, fold_constants
from offramp.capture.outputs import Returned, as_plain, find_returned, rank_of
from offramp.capture.randomness import is_random
from offramp.errors import CaptureError
from offramp.tensors import DTYPES, TensorSpec

__all__ = ["CapturedGraph", "line_of", "read_program"]

_VIEWS = (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default)


@dataclass(frozen=True)
class CapturedGraph:
    """A functional graph of ATen operations that holds its weights.

    ``outputs`` are named after where they stand in what the model returns; the first is the
    model's answer: what is called ``logits``, else the first of shape (batch, classes), else the
    first. ``leaves`` are their places among all that the model returns, flattened; ``left_out``
    says of the other tensors that it returns why they cannot be outputs.
    """

    module: fx.GraphModule
    inputs: tuple[fx.Node, ...]
    outputs: tuple[fx.Node, ...]
    leaves: tuple[int, ...]
    left_out: tuple[str, ...] = ()

    def flatten(self, returned: Any) -> list[Tensor]:
        """Return the outputs in order from what the model itself returned."""
        leaves = pytree.tree_leaves(as_plain(returned))
        return [leaves[at] for at in self.leaves]

    @cached_property
    def batch(self) -> frozenset[Any]:
        """The symbols of the batch size: inputs that the model never joins have one each."""
        return frozenset(node.meta["val"].shape[0].node.expr for node in self.inputs)

    def batch_dimension(self, node: fx.Node) -> int | None:
        """Return the dimension of a value that has one entry a sample; None if it may not cross.

        What crosses has that one dimension alone of a free size, and a dtype of `DTYPES`.
        """
        made = node.meta.get("val")
        if not isinstance(made, Tensor) or str(made.dtype).removeprefix("torch.") not in DTYPES:
            return None
        sides: list[Any] = list(made.shape)
        free = [at for at, side in enumerate(sides) if isinstance(side, torch.SymInt)]
        if len(free) != 1 or sides.pop(free[0]).node.expr not in self.batch or 0 in sides:
            return None
        return free[0]

    def spec(self, node: fx.Node) -> TensorSpec:
        """Return the name, dtype and shape of a value that may cross, for one sample."""
        made = node.meta["val"]
        dtype = str(made.dtype).removeprefix("torch.")
        return TensorSpec(node.name, dtype, tuple(s for s in made.shape if isinstance(s, int)))


def read_program(program: ExportedProgram) -> CapturedGraph:
    """Return an exported program as a graph that holds its weights, with what is constant folded.

    Outputs that are not one row a sample are left out. Raises `CaptureError` if there are no
    others, or an operation has no place in a graph that is run again elsewhere.
    """
    returned = find_returned(program)
    if not returned:
        raise CaptureError("the model returns no tensor; return one, or a tuple, list or mapping")
    module = _with_weights(program, [one.node for one in returned])
    inputs = tuple(n for n in module.graph.nodes if n.op == "placeholder")
    graph = _choose_outputs(CapturedGraph(module, inputs, (), ()), returned)
    fold_constants(module)
    fold_batch_norm(module)
    for node in module.graph.nodes:
        _check(node)
        if node.target in _VIEWS:  # what crosses a cut comes packed, whatever its strides were
            node.target = torch.ops.aten.reshape.default
    return graph


def line_of(node: fx.Node) -> str:
    """Return the line of the model's code that an operation comes from, as `` at FILE:LINE``."""
    places = re.findall(r'File "([^"]+)", line (\d+)', node.meta.get("stack_trace") or "")
    return f" at {places[-1][0]}:{places[-1][1]}" if places else ""


def _with_weights(program: ExportedProgram, outputs: list[fx.Node]) -> fx.GraphModule:
    """Copy the graph; weights, which the exporter hands in as inputs, become its own."""
    specs = iter(program.graph_signature.input_specs)
    root, graph = nn.Module(), fx.Graph()
    made: dict[fx.Node, fx.Node] = {}
    live = _live(outputs)
    for node in program.graph.nodes:
        spec = next(specs) if node.op == "placeholder" else None
        if spec is not None and spec.kind is InputKind.USER_INPUT:
            if isinstance(node.meta.get("val"), Tensor):
                made[node] = graph.node_copy(node)
        elif node in live and spec is not None:
            root.register_buffer(node.name, _weight(program, str(spec.target)))
            made[node] = graph.get_attr(node.name)
            made[node].meta = dict(node.meta)
        elif node in live and node.op == "get_attr":
            raise CaptureError(
                "the model has control flow over tensors (torch.cond, map or scan)"
                f"{line_of(next(iter(node.users)))}; compile the branch that is taken"
            )
        elif node in live:
            made[node] = graph.node_copy(node, made.__getitem__)
    graph.output(tuple(made[node] for node in outputs))
    return fx.GraphModule(root, graph)


def _weight(program: ExportedProgram, name: str) -> Tensor:
    if name in program.graph_signature.buffers_to_mutate.values():
        raise CaptureError(
            f"the model keeps {name!r} from one call to the next; an answer must depend on its "
            "inputs alone: take it out of forward, or return it and pass it in again"
        )
    tensor = {**program.state_dict, **program.constants}.get(name)
    if not isinstance(tensor, Tensor):
        raise CaptureError(f"the model holds {name!r}, which is not a tensor")
    return tensor.detach()


def _live(outputs: list[fx.Node]) -> set[fx.Node]:
    """Return what the outputs need: checks of sizes and writes to buffers are left behind."""
    live: set[fx.Node] = set()
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if node not in live:
            live.add(node)
            waiting += node.all_input_nodes
    return live


def _choose_outputs(graph: CapturedGraph, returned: list[Returned]) -> CapturedGraph:
    """Keep the outputs that are one row a sample, name them, and put the answer first."""
    (output,) = (n for n in graph.module.graph.nodes if n.op == "output")
    found = [(node, one) for node, one in zip(output.args[0], returned, strict=True)]
    kept = [(node, one) for node, one in found if graph.batch_dimension(node) == 0]
    if not kept:
        raise CaptureError(_unfit(*found[0]))
    kept.sort(key=lambda pair: rank_of(pair[0], pair[1].name))
    for node, one in kept:
        if node.op == "call_function":
            node._rename(one.name)
    nodes = tuple(node for node, _ in kept)
    output.args = (nodes,)
    left_out = tuple(_unfit(node, one) for node, one in found if node not in nodes)
    leaves = tuple(one.place for _, one in kept)
    return replace(graph, outputs=nodes, leaves=leaves, left_out=left_out)


def _unfit(node: fx.Node, one: Returned) -> str:
    """Say why an output cannot be answered with."""
    made = node.meta["val"]
    dtype = str(made.dtype).removeprefix("torch.")
    if dtype not in DTYPES:
        return f"output {one.name!r} is {dtype}{line_of(node)}; return one of {', '.join(DTYPES)}"
    shape = ", ".join(map(str, made.shape))
    return (
        f"output {one.name!r}, of shape ({shape}), does not have the batch as its first dimension "
        f"alone{line_of(node)}; return one row for each sample"
    )


def _check(node: fx.Node) -> None:
    if is_random(node):
        raise CaptureError(
            f"operation {node.target} draws random numbers{line_of(node)}; a split model must "
            "answer the same each time: take it out of forward"
        )

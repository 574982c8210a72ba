"""The captured graph: operations, weights and named inputs and outputs, ready to be cut."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from offramp.capture.folding import fold_batch_norm, fold_constants
from offramp.capture.randomness import is_random
from offramp.errors import CaptureError
from offramp.tensors import DTYPES, TensorSpec

__all__ = ["CapturedGraph", "line_of", "read_program"]


@dataclass(frozen=True)
class CapturedGraph:
    """A functional graph of ATen operations that holds its weights.

    ``outputs`` are named after where they stand in what the model returns; the first is the
    model's answer: what is called ``logits``, else the first of shape (batch, classes), else the
    first. ``leaves`` are their places among all that the model returns, flattened.
    """

    module: fx.GraphModule
    inputs: tuple[fx.Node, ...]
    outputs: tuple[fx.Node, ...]
    leaves: tuple[int, ...]

    def flatten(self, returned: Any) -> list[Tensor]:
        """Return the outputs in order from what the model itself returned."""
        leaves = pytree.tree_leaves(returned)
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

    Raises `CaptureError` if an operation has no place in a graph that is run again elsewhere, or
    an output is not one row a sample.
    """
    returned = _returned(program)
    if not returned:
        raise CaptureError("the model returns no tensor; return one, or a tuple, list or mapping")
    module = _with_weights(program, [node for node, _, _ in returned])
    outputs, leaves = _name_outputs(module, returned)
    fold_constants(module)
    fold_batch_norm(module)
    inputs = tuple(n for n in module.graph.nodes if n.op == "placeholder")
    graph = CapturedGraph(module, inputs, outputs, leaves)
    for node in module.graph.nodes:
        _check(node)
    for node in graph.outputs:
        if graph.batch_dimension(node) != 0:
            shape = tuple(map(str, node.meta["val"].shape))
            raise CaptureError(
                f"output {node.name!r}, of shape ({', '.join(shape)}), does not have the batch as "
                f"its first dimension alone{line_of(node)}; return one row for each sample"
            )
    return graph


def line_of(node: fx.Node) -> str:
    """Return the line of the model's code that an operation comes from, as `` at FILE:LINE``."""
    places = re.findall(r'File "([^"]+)", line (\d+)', node.meta.get("stack_trace") or "")
    return f" at {places[-1][0]}:{places[-1][1]}" if places else ""


def _returned(program: ExportedProgram) -> list[tuple[fx.Node, int, str]]:
    """Return the tensors that the model returns: the node, its place among the leaves, its name."""
    (output,) = (n for n in program.graph.nodes if n.op == "output")
    leaves = [
        value
        for value, spec in zip(output.args[0], program.graph_signature.output_specs, strict=True)
        if spec.kind is OutputKind.USER_OUTPUT
    ]
    tree = pytree.tree_unflatten(range(len(leaves)), program.call_spec.out_spec)
    paths = {place: path for path, place in pytree.tree_flatten_with_path(tree)[0]}
    found: dict[fx.Node, tuple[fx.Node, int, str]] = {}
    for place, leaf in enumerate(leaves):
        if isinstance(leaf, fx.Node) and isinstance(leaf.meta.get("val"), Tensor):
            words = re.findall(r"[A-Za-z0-9]+", pytree.keystr(paths[place]))
            name = "_".join(words if words and words[0][0].isalpha() else ["output", *words])
            found.setdefault(leaf, (leaf, place, name))
    return list(found.values())


def _with_weights(program: ExportedProgram, outputs: list[fx.Node]) -> fx.GraphModule:
    """Copy the graph; weights, which the exporter hands in as inputs, become its own."""
    tensors = {**program.state_dict, **program.constants}
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
            if not isinstance(tensors.get(str(spec.target)), Tensor):
                raise CaptureError(f"the model holds {spec.target!r}, which is not a tensor")
            root.register_buffer(node.name, tensors[str(spec.target)].detach())
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


def _name_outputs(
    module: fx.GraphModule, returned: list[tuple[fx.Node, int, str]]
) -> tuple[tuple[fx.Node, ...], tuple[int, ...]]:
    """Name what the graph returns, and put the answer first."""
    (output,) = (n for n in module.graph.nodes if n.op == "output")
    found = [(node, place, name)
             for node, (_, place, name) in zip(output.args[0], returned, strict=True)]  # fmt: skip
    found.sort(key=lambda item: _answer_rank(item[0], item[2]))
    for node, _, name in found:
        if node.op == "call_function":
            node._rename(name)
    nodes = tuple(node for node, _, _ in found)
    output.args = (nodes,)
    return nodes, tuple(place for _, place, _ in found)


def _answer_rank(node: fx.Node, name: str) -> int:
    made = node.meta["val"]
    if name == "logits":
        return 0
    return 1 if made.dim() == 2 and made.dtype.is_floating_point else 2


def _check(node: fx.Node) -> None:
    if is_random(node):
        raise CaptureError(
            f"operation {node.target} draws random numbers{line_of(node)}; a split model must "
            "answer the same each time: take it out of forward"
        )

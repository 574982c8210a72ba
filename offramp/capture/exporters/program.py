"""Programs: a segment's graph as JSON, in ATen operations, with its weights beside it.

`torch.export.save` pickles; a program holds names, numbers and nothing that runs by itself.
`offramp.backends.torch_program` reads it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx

from offramp.backends.torch_program import OPERATORS
from offramp.capture.exporters.exporter import Exporter
from offramp.capture.graph import line_of
from offramp.errors import CaptureError

__all__ = ["ProgramExporter"]

_OPERATORS: dict[Any, str] = {function: name for name, function in OPERATORS.items()}


class ProgramExporter(Exporter):
    """Writes ``program.json``, which names the weights beside it."""

    file = "program.json"

    def export(self, module: fx.GraphModule, examples: Sequence[Tensor], weights: bytes) -> bytes:
        """Return the graph as canonical JSON; see `Exporter.export`."""
        return _write(module)


def _write(module: fx.GraphModule) -> bytes:
    inputs: list[str] = []
    nodes: list[dict[str, Any]] = []
    outputs: list[Any] = []
    for node in module.graph.nodes:
        if node.op == "placeholder":
            inputs.append(node.name)
        elif node.op == "output":
            outputs = [_encode(value) for value in node.args[0]]
        elif node.op != "get_attr":
            nodes.append(
                {
                    "name": node.name,
                    "op": _operation(node),
                    "args": _encode(node.args),
                    "kwargs": _encode(dict(node.kwargs)),
                }
            )
    plain = {"inputs": inputs, "nodes": nodes, "outputs": outputs}
    return json.dumps(plain, separators=(",", ":")).encode()


def _operation(node: fx.Node) -> str:
    if node.target in _OPERATORS:
        return _OPERATORS[node.target]
    if isinstance(node.target, torch._ops.OpOverload) and node.target.namespace == "aten":
        return str(node.target)
    raise CaptureError(f"operation {node.target} is not an ATen operation{line_of(node)}")


def _encode(value: Any) -> Any:
    match value:
        case fx.Node(op="get_attr"):
            return {"weight": value.target}
        case fx.Node():
            return {"node": value.name}
        case list() | tuple():
            return [_encode(item) for item in value]
        case dict():
            return {key: _encode(item) for key, item in value.items()}
        case bool() | int() | str() | None:
            return value
        case float():
            return {"float": value.hex()}
        case torch.dtype() | torch.memory_format() | torch.layout():
            return {"torch": str(value).removeprefix("torch.")}
        case torch.device():
            return {"device": "cpu"}
    raise CaptureError(f"an argument of type {type(value).__name__} cannot be stored in a program")

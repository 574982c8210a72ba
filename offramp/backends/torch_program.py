"""Programs read back as torch modules; see `offramp.capture.program` for their form.

A program may come from a stranger: it can name functional ATen operations and nothing else.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from offramp.errors import BundleError

__all__ = ["build_program"]

_REFUSED = ("from_file",)


def build_program(data: bytes, weights: Mapping[str, Tensor]) -> fx.GraphModule:
    """Build a module from a program and its weights; raise `BundleError` if it is not sound."""
    try:
        plain = json.loads(data)
        root, graph = nn.Module(), fx.Graph()
        made: dict[str, fx.Node] = {}
        for name in plain["inputs"]:
            made[name] = graph.placeholder(name)
        for name, tensor in weights.items():
            root.register_buffer(name, tensor)

        def value(item: Any) -> Any:
            if isinstance(item, list):
                return [value(part) for part in item]
            if not isinstance(item, dict):
                return item
            ((kind, content),) = item.items()
            return _READERS[kind](content) if kind in _READERS else reference(kind, content)

        def reference(kind: str, name: str) -> fx.Node:
            if kind == "node":
                return made[name]
            if kind != "weight" or name not in weights:
                raise BundleError(f"a program refers to {kind} {name!r}, which it does not hold")
            return graph.get_attr(name)

        for node in plain["nodes"]:
            arguments = tuple(value(item) for item in node["args"])
            keywords = {str(key): value(item) for key, item in node["kwargs"].items()}
            made[node["name"]] = graph.call_function(
                _operation(node["op"]), arguments, keywords, name=node["name"]
            )
        graph.output(tuple(value(item) for item in plain["outputs"]))
        return fx.GraphModule(root, graph)
    except BundleError:
        raise
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise BundleError(f"a program cannot be read ({error!r}); get the bundle again") from None


_READERS: dict[str, Callable[[str], Any]] = {
    "float": float.fromhex,
    "device": torch.device,
    "torch": lambda name: _torch_constant(name),
}


def _torch_constant(name: str) -> Any:
    constant = getattr(torch, name, None)
    if not isinstance(constant, torch.dtype | torch.memory_format | torch.layout):
        raise BundleError(f"a program names torch.{name}, which is no dtype, layout or format")
    return constant


def _operation(name: str) -> Callable[..., Any]:
    if name == "getitem":
        return operator.getitem
    namespace, _, rest = name.partition(".")
    packet, _, overload = rest.partition(".")
    if namespace != "aten" or packet in _REFUSED:
        raise BundleError(f"a program uses {name!r}; only ATen operations are allowed")
    try:
        operation = getattr(getattr(torch.ops.aten, packet), overload)
    except AttributeError:
        raise BundleError(
            f"a program uses {name!r}, which torch {torch.__version__} does not have; "
            "install a newer torch"
        ) from None
    if not isinstance(operation, torch._ops.OpOverload) or operation._schema.is_mutable:
        raise BundleError(f"a program uses {name!r}; only functional operations are allowed")
    return operation

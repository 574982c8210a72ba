"""Programs read back as torch modules; see `offramp.capture.exporters.program` for their form.

A program may come from a stranger: it can name functional ATen operations and `OPERATORS`, no
more. The graph becomes Python source, so none of a program's own names may reach it: inputs and
weights are numbered, and keywords must be those of the operation.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from offramp.backends.backend import Chain
from offramp.errors import BundleError

__all__ = ["OPERATORS", "build_program", "join_programs"]

OPERATORS: dict[str, Callable[..., Any]] = {
    "getitem": operator.getitem,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "floordiv": operator.floordiv,
}
"""What a program may do outside ATen: take one of several results, reckon with the batch size."""

_REFUSED = ("from_file",)


def build_program(data: bytes, weights: Mapping[str, Tensor]) -> fx.GraphModule:
    """Build a module from a program and its weights; raise `BundleError` if it is not sound."""
    try:
        plain = json.loads(data)
        root, graph = nn.Module(), fx.Graph()
        made: dict[str, fx.Node] = {}
        for at, name in enumerate(plain["inputs"]):
            made[name] = graph.placeholder(f"input_{at}")
        places = {name: f"weight_{at}" for at, name in enumerate(weights)}
        for name, tensor in weights.items():
            root.register_buffer(places[name], tensor)

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
            return graph.get_attr(places[name])

        for node in plain["nodes"]:
            operation = _operation(node["op"])
            arguments = tuple(value(item) for item in node["args"])
            keywords = {key: value(item) for key, item in node["kwargs"].items()}
            _check_keywords(node["op"], operation, keywords)
            made[node["name"]] = graph.call_function(operation, arguments, keywords)
        outputs = tuple(value(item) for item in plain["outputs"])
        if not all(isinstance(output, fx.Node) for output in outputs):
            raise BundleError("a program returns something that is no tensor; get the bundle again")
        graph.output(outputs)
        return fx.GraphModule(root, graph)
    except BundleError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise BundleError(f"a program cannot be read ({error!r}); get the bundle again") from None


def join_programs(modules: Sequence[fx.GraphModule], chain: Chain) -> fx.GraphModule:
    """Return one module that runs a chain's programs."""
    root, graph = nn.Module(), fx.Graph()
    values = {name: graph.placeholder(f"input_{at}") for at, name in enumerate(chain.reads)}
    for at, (module, link) in enumerate(zip(modules, chain.links, strict=True)):
        root.add_module(f"part_{at}", module)
        made = graph.call_module(f"part_{at}", tuple(values[name] for name in link.reads))
        for place, name in enumerate(link.makes):
            values[name] = graph.call_function(operator.getitem, (made, place))
    graph.output(tuple(values[name] for name in chain.makes))
    return fx.GraphModule(root, graph)


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
    if name in OPERATORS:
        return OPERATORS[name]
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


def _check_keywords(name: str, operation: Callable[..., Any], keywords: Mapping[str, Any]) -> None:
    schema = getattr(operation, "_schema", None)
    known = {argument.name for argument in schema.arguments} if schema else set()
    if not keywords.keys() <= known:
        unknown = ", ".join(sorted(map(repr, keywords.keys() - known)))
        raise BundleError(f"a program gives {name!r} an argument that it does not take: {unknown}")

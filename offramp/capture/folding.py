"""Folding: what depends on weights alone is worked out once, when the model is compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, fx
from torch.nn.utils.fusion import fuse_conv_bn_weights

from offramp.capture.randomness import is_random

__all__ = ["fold_batch_norm", "fold_constants"]

_aten = torch.ops.aten
_CONVOLUTIONS = (_aten.conv1d.default, _aten.conv2d.default, _aten.conv3d.default)
_NORM = _aten._native_batch_norm_legit_no_training.default
_SMALL = 1 << 20
"""Elements that a folded constant may always have; beyond, no more than it was made from."""


def fold_constants(module: fx.GraphModule) -> None:
    """Replace every value that depends on weights and numbers alone by the tensor it is."""
    values: dict[fx.Node, Tensor] = {}
    for node in module.graph.nodes:
        if node.op == "get_attr":
            values[node] = module.get_buffer(str(node.target))
        elif _is_constant(node, values):
            made = _evaluate(node, values)
            sources = [values[source].numel() for source in node.all_input_nodes]
            if isinstance(made, Tensor) and made.numel() <= max([_SMALL, *sources]):
                values[node] = made
    for node in [n for n in values if n.op != "get_attr"]:
        if any(user not in values for user in node.users):
            name = f"{node.name}_folded"
            module.register_buffer(name, values[node].contiguous().clone())
            with module.graph.inserting_before(node):
                folded = module.graph.get_attr(name)
            folded.meta = dict(node.meta)
            node.replace_all_uses_with(folded, delete_user_cb=lambda user: user not in values)
    _drop_unused(module)


def _is_constant(node: fx.Node, values: Mapping[fx.Node, Tensor]) -> bool:
    return (
        node.op == "call_function"
        and isinstance(node.target, torch._ops.OpOverload)
        and not is_random(node)
        and all(source in values for source in node.all_input_nodes)
    )


def _evaluate(node: fx.Node, values: Mapping[fx.Node, Tensor]) -> Any:
    arguments, keywords = fx.map_arg((node.args, node.kwargs), lambda source: values[source])
    with torch.no_grad():
        return cast(Any, node.target)(*arguments, **keywords)


def fold_batch_norm(module: fx.GraphModule) -> None:
    """Fold in place, so that every backend runs, and the bundle stores, the same fewer weights."""
    for norm in [n for n in module.graph.nodes if n.target is _NORM]:
        conv = norm.args[0]
        if conv.target in _CONVOLUTIONS and len(conv.users) == 1 and _only_first(norm):
            _fold(module, conv, norm)
    _drop_unused(module)


def _drop_unused(module: fx.GraphModule) -> None:
    module.graph.eliminate_dead_code()
    used = {n.target for n in module.graph.nodes if n.op == "get_attr"}
    for name, _ in list(module.named_buffers()):
        if name not in used:
            delattr(module, name)
    module.recompile()


def _only_first(norm: fx.Node) -> bool:
    return all(user.args[1] == 0 for user in norm.users)


def _fold(module: fx.GraphModule, conv: fx.Node, norm: fx.Node) -> None:
    _, scale, shift, mean, variance, _, epsilon = norm.args

    def tensor(node: Any) -> Any:
        return module.get_buffer(str(node.target)) if isinstance(node, fx.Node) else None

    bias = conv.args[2] if len(conv.args) > 2 else None
    statistics = (tensor(mean), tensor(variance), cast(float, epsilon))
    weights = fuse_conv_bn_weights(
        tensor(conv.args[1]), tensor(bias), *statistics, tensor(scale), tensor(shift)
    )
    folded = []
    with module.graph.inserting_before(conv):
        for kind, value in zip(("weight", "bias"), weights, strict=True):
            name = f"{conv.name}_{kind}"
            module.register_buffer(name, value.detach())
            folded.append(module.graph.get_attr(name))
    conv.args = (conv.args[0], *folded, *conv.args[3:])
    for user in list(norm.users):
        user.replace_all_uses_with(conv)

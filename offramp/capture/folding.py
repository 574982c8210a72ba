"""Folding: a batch normalisation after a convolution becomes part of its weights."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import fx
from torch.nn.utils.fusion import fuse_conv_bn_weights

__all__ = ["fold_batch_norm"]

_aten = torch.ops.aten
_CONVOLUTIONS = (_aten.conv1d.default, _aten.conv2d.default, _aten.conv3d.default)
_NORM = _aten._native_batch_norm_legit_no_training.default


def fold_batch_norm(module: fx.GraphModule) -> None:
    """Fold in place, so that every backend runs, and the bundle stores, the same fewer weights."""
    for norm in [n for n in module.graph.nodes if n.target is _NORM]:
        conv = norm.args[0]
        if conv.target in _CONVOLUTIONS and len(conv.users) == 1 and _only_first(norm):
            _fold(module, conv, norm)
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

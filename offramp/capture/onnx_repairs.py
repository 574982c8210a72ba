"""What is said differently in ONNX, so that ONNX Runtime computes what torch does."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from torch import fx

__all__ = ["prepare", "repair"]

_MINUS_ZERO = "offramp_minus_zero"


def prepare(graph: fx.Graph) -> None:
    """Rewrite a graph in place, before its export.

    Of a number minus whole numbers the exporter of torch 2.13 converts the wrong side.
    """
    for node in list(graph.nodes):
        if node.target is not torch.ops.aten.rsub.Scalar:
            continue
        value, dtype = node.args[0], node.meta["val"].dtype
        if value.meta["val"].dtype == dtype:
            continue
        with graph.inserting_before(node):
            converted = graph.call_function(
                torch.ops.aten._to_copy.default, (value,), {"dtype": dtype}
            )
        converted.meta = {**node.meta}
        node.replace_input_with(value, converted)


def repair(model: onnx.ModelProto) -> None:
    """Rewrite a model in place, after its export."""
    _keep_pads_of_pools(model.graph)


def _keep_pads_of_pools(graph: onnx.GraphProto) -> None:
    """Pad with -0.0 before a maximum.

    ONNX Runtime 1.31 merges a padding with 0 into the pooling behind it, whose own padding is
    minus infinity; one with -0.0, which is the same number, it leaves alone.
    """
    pooled = {node.input[0] for node in graph.node if node.op_type == "MaxPool"}
    for node in graph.node:
        if node.op_type != "Pad" or not pooled.intersection(node.output):
            continue
        if len(node.input) > 2 and node.input[2] and not _is_zero(graph, node.input[2]):
            continue
        if not any(tensor.name == _MINUS_ZERO for tensor in graph.initializer):
            zero = np.array(-0.0, np.float32)
            graph.initializer.append(onnx.numpy_helper.from_array(zero, _MINUS_ZERO))
        inputs = [*node.input[:2], _MINUS_ZERO, *node.input[3:]]
        del node.input[:]
        node.input.extend(inputs)


def _is_zero(graph: onnx.GraphProto, name: str) -> bool:
    tensor = next((tensor for tensor in graph.initializer if tensor.name == name), None)
    if tensor is None or tensor.data_type != onnx.TensorProto.FLOAT:
        return False
    return not onnx.numpy_helper.to_array(tensor).any()

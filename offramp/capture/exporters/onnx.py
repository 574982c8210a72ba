"""ONNX export of a segment, its weights left in the safetensors file beside it."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Sequence

import numpy as np
import onnx
import torch
from torch import Tensor, fx
from torch.export import Dim

from offramp.capture.export import two_of
from offramp.capture.exporters.exporter import Exporter
from offramp.capture.known_operations import operations_known
from offramp.capture.onnx_registry import shared_registry
from offramp.capture.onnx_repairs import prepare, repair
from offramp.capture.quiet import quiet
from offramp.errors import CaptureError

__all__ = ["OnnxExporter"]

_SMALL_BYTES = 64  # a smaller tensor costs more as a reference than as itself


class OnnxExporter(Exporter):
    """Writes ``model.onnx``, whose initializers point into the weights beside it."""

    file = "model.onnx"

    def export(self, module: fx.GraphModule, examples: Sequence[Tensor], weights: bytes) -> bytes:
        """Return the ONNX model; see `Exporter.export`."""
        shapes = tuple({0: Dim.DYNAMIC} for _ in examples)
        try:
            with quiet(), shared_registry(), operations_known(), torch.no_grad():
                inputs = tuple(two_of(example) for example in examples)
                program = torch.export.export(module, inputs, dynamic_shapes=shapes)
                prepare(program.graph)
                exported = torch.onnx.export(program, (), dynamo=True, optimize=True, verbose=False)
        except Exception as error:  # the exporter raises many kinds; its text is what helps
            raise CaptureError(f"it cannot be exported to ONNX: {_reason(error)}") from error
        assert exported is not None
        model = exported.model_proto
        repair(model)
        _strip_origins(model)
        _share_weights(model, weights)
        return bytes(model.SerializeToString())


def _reason(error: BaseException) -> str:
    """Return what the innermost of the exporter's errors says, operations named as ATen does."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())[:600]
    return re.sub(r"<OpOverload\(op='([^']*)', overload='([^']*)'\)>", r"\1.\2", text)


def _strip_origins(model: onnx.ModelProto) -> None:
    """Remove stack traces and doc strings: they carry paths of the machine that compiled."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output,
                 *graph.initializer, *model.functions):  # fmt: skip
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def _share_weights(model: onnx.ModelProto, weights: bytes) -> None:
    """Replace initializers by references to equal bytes in a safetensors file."""
    stored = _tensor_places(weights)
    for tensor in model.graph.initializer:
        place = stored.get((tensor.data_type, tuple(tensor.dims), bytes(tensor.raw_data)))
        if place is None or len(tensor.raw_data) < _SMALL_BYTES:
            continue
        offset, length = place
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, text in (
            ("location", "weights.safetensors"),
            ("offset", offset),
            ("length", length),
        ):
            tensor.external_data.add(key=key, value=str(text))


def _tensor_places(weights: bytes) -> dict[tuple[int, tuple[int, ...], bytes], tuple[int, int]]:
    (header_bytes,) = struct.unpack_from("<Q", weights)
    header = json.loads(weights[8 : 8 + header_bytes])
    places = {}
    for entry in header.values():
        if entry.get("dtype") not in _NUMPY:
            continue
        first, last = (8 + header_bytes + at for at in entry["data_offsets"])
        kind = int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(_NUMPY[entry["dtype"]])))
        places[kind, tuple(entry["shape"]), weights[first:last]] = (first, last - first)
    return places


_NUMPY = {
    "F32": "float32", "F16": "float16", "F64": "float64", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
"""Weights of other types stay in the ONNX file."""

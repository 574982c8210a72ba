"""The outline of a cut graph: what `offramp inspect` draws."""

from __future__ import annotations

import json

import numpy as np

from offramp.capture.cutting import CutModel

__all__ = ["write_outline"]


def write_outline(cut: CutModel) -> bytes:
    """Return the operations as JSON: name, op, segment, inputs, bytes of the value, multiply-adds.

    The model's inputs belong to no segment: theirs is null. What each segment works out for itself
    is left out.
    """
    operations, sizes = cut.operations, np.where(np.isinf(cut.dag.out_bytes), 0, cut.dag.out_bytes)
    nodes = [
        {
            "name": node.name,
            "op": "input" if node.op == "placeholder" else str(node.target).removeprefix("aten."),
            "segment": cut.segment_of(at),
            "inputs": [operations.nodes[maker].name for maker in cut.dag.reads[at]],
            "bytes": int(sizes[at]),
            "macs": operations.macs.get(node, 0),
        }
        for at, node in enumerate(operations.nodes)
    ]
    return json.dumps({"nodes": nodes}, separators=(",", ":")).encode()

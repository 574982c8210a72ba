"""What each operation of a graph costs, as far as it takes to propose cuts.

Times of single operations do not add up to those of whole partitions, so they only propose: what a
plan is chosen by is measured on whole partitions (`partitioner.measure`).
"""

from __future__ import annotations

import operator
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["count_macs", "is_light", "measure_s", "reckon_s"]

REPEATS = 3
_MACS_PER_S, _BYTES_PER_S = 5e9, 5e9  # one core of a small server
_LIGHT = {
    "_to_copy", "_unsafe_view", "clone", "contiguous", "divide", "dropout", "full_like", "multiply",
    "negative", "ones_like", "reshape", "subtract", "to", "type_as", "zeros_like",
}  # fmt: skip
"""Operations that copy or work element by element, and have no mark of torch's that says so."""


def is_light(node: fx.Node) -> bool:
    """Tell whether an operation works element by element or moves data at most.

    Engines fuse such operations into the one before, so they cost nothing where they stand.
    """
    target = node.target
    if target is operator.getitem:
        return True
    if not isinstance(target, torch._ops.OpOverload):
        return False
    packet = target.overloadpacket
    overloads = (getattr(packet, name) for name in packet.overloads())
    return (
        target.is_view
        or packet.__name__ in _LIGHT
        or any(torch.Tag.pointwise in overload.tags for overload in overloads)
    )


def count_macs(module: fx.GraphModule) -> dict[fx.Node, int]:
    """Count each operation's multiply-adds for one sample; nothing is computed."""
    macs: dict[fx.Node, int] = {}

    class Counter(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            with FlopCounterMode(display=False) as counter:
                result = super().run_node(n)
            macs[n] = counter.get_total_flops() // 2
            return result

    sizes = ShapeEnv(allow_dynamic_output_shape_ops=True)
    with FakeTensorMode(allow_non_fake_inputs=True, shape_env=sizes), torch.no_grad():
        inputs = [_zeros(node) for node in module.graph.nodes if node.op == "placeholder"]
        Counter(module, garbage_collect_values=True).run(*inputs)
    return macs


def measure_s(module: fx.GraphModule, inputs: Sequence[Tensor]) -> dict[fx.Node, float]:
    """Return each operation's time in seconds for one sample, the least of a few runs.

    Where the graph cannot be run operation by operation, the times are reckoned from its
    multiply-adds and bytes.
    """
    times: dict[fx.Node, float] = {}

    class Clock(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            started = time.perf_counter()
            result = super().run_node(n)
            times[n] = min(times.get(n, float("inf")), time.perf_counter() - started)
            return result

    try:
        with torch.no_grad():
            for _ in range(REPEATS):
                Clock(module, garbage_collect_values=True).run(*(t[:1] for t in inputs))
    except Exception:  # such as an operation that runs for more than one sample only
        return reckon_s(module)
    return times


def reckon_s(module: fx.GraphModule) -> dict[fx.Node, float]:
    """Return each operation's time in seconds for one sample by its multiply-adds and bytes.

    No clock is asked: the same graph has the same times on every machine.
    """
    macs = count_macs(module)
    return {n: macs[n] / _MACS_PER_S + _bytes(n) / _BYTES_PER_S for n in module.graph.nodes}


def _zeros(node: fx.Node) -> Tensor:
    made = node.meta["val"]
    return torch.zeros(1, *made.shape[1:], dtype=made.dtype)


def _bytes(node: fx.Node) -> int:
    """Return the bytes of one sample that an operation reads and writes."""
    values = [n.meta.get("val") for n in (*node.all_input_nodes, node)]
    return sum(
        value.element_size() * value[:1].numel() if value.dim() else 0
        for value in values
        if isinstance(value, Tensor) and all(isinstance(side, int) for side in value.shape[1:])
    )

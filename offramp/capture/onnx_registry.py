"""One table of operations for all ONNX exports of a process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["shared_registry"]

_built: dict[str, Any] = {}


@contextmanager
def shared_registry() -> Iterator[None]:
    """Let exports read one table of torch's operations in ONNX, built by the first of them.

    Building it takes a second or more, half the time of a small segment's export, and
    `torch.onnx.export` builds it anew each time and takes none. Where its inner parts are not
    those of torch 2.13, exports are slower and otherwise the same.
    """
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry

        before = vars(ONNXRegistry)["from_torchlib"]
        build = ONNXRegistry.from_torchlib
    except (ImportError, KeyError):
        yield
        return

    def shared(**options: Any) -> Any:
        key = repr(options)
        if key not in _built:
            _built[key] = build(**options)
        return _built[key]

    ONNXRegistry.from_torchlib = staticmethod(shared)  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        ONNXRegistry.from_torchlib = before  # type: ignore[method-assign]

"""A tensor's elements as bytes: C order, little-endian, nothing between them."""

from __future__ import annotations

import numpy as np

from offramp.errors import FrameError
from offramp.tensors import Array, TensorSpec

__all__ = ["from_bytes", "to_bytes"]


def to_bytes(sample: Array) -> bytes:
    """Return the elements of ``sample`` as bytes."""
    return sample.astype(sample.dtype.newbyteorder("<"), copy=False).tobytes()


def from_bytes(content: bytes | memoryview, spec: TensorSpec) -> Array:
    """Return a new array of the elements in ``content``."""
    if len(content) != spec.nbytes:
        raise FrameError(
            f"payload has {len(content)} bytes where {spec.dtype} of shape {spec.shape} "
            f"takes {spec.nbytes}"
        )
    if spec.dtype == "bool" and np.frombuffer(content, np.uint8).max() > 1:
        raise FrameError("payload has a bool that is neither 0 nor 1")
    elements = np.frombuffer(content, np.dtype(spec.dtype).newbyteorder("<"))
    return elements.reshape(spec.shape).astype(spec.dtype)

"""Bottlenecks: small pairs of networks that make a boundary's tensor narrow, and wide again."""

from __future__ import annotations

from offramp.bottlenecks import image, tokens
from offramp.bottlenecks.bottleneck import Bottleneck, Parts
from offramp.errors import CaptureError
from offramp.tensors import TensorSpec

__all__ = ["Bottleneck", "build_bottleneck"]

_BUILD = {1: tokens.build_vector, 2: tokens.build_sequence, 3: image.build}
"""How the parts are built by the number of dimensions of one feature."""


def build_bottleneck(tensor: TensorSpec, rectified: bool = False) -> Bottleneck:
    """Return an untrained pair for a tensor; raise `CaptureError` if there is none for it.

    With ``rectified`` the tensor is never negative, and so is what comes back.
    """
    build = _BUILD.get(len(tensor.shape))
    if build is None or tensor.dtype != "float32":
        raise CaptureError(
            f"there is no bottleneck for {tensor.name!r}, {tensor.dtype} of shape {tensor.shape}; "
            "name a sub-module that returns float32 vectors, sequences or images"
        )
    parts: Parts = build(tensor.shape)
    return Bottleneck(parts, tensor.shape, rectified)

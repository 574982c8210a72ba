"""The contract of exit heads, and the layouts of the features that they read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from offramp.tensors import TensorSpec

__all__ = ["LAYOUTS", "HeadKind", "layout_of"]

LAYOUTS = {1: "vector", 2: "sequence", 3: "image"}
"""What a feature is by its number of dimensions, without the batch.

A vector is (features,), a sequence (steps, features), such as tokens or audio frames, and an image
feature (channels, height, width).
"""


@dataclass(frozen=True)
class HeadKind:
    """A kind of exit head: its name, the layouts it reads, and how one is built.

    ``build`` takes the shape of one feature and the number of classes. The module that it returns
    takes float32 features with any number of samples as the first dimension and returns logits
    (samples, classes).
    """

    name: str
    layouts: tuple[str, ...]
    build: Callable[[tuple[int, ...], int], nn.Module]

    def fits(self, tensor: TensorSpec) -> bool:
        """Tell whether such a head can read a boundary's tensor."""
        return tensor.dtype == "float32" and layout_of(tensor) in self.layouts


def layout_of(tensor: TensorSpec) -> str | None:
    """Return a tensor's layout, or None for one that no head reads."""
    return LAYOUTS.get(len(tensor.shape))

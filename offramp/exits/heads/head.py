"""The contract of exit heads, and the layouts of the features that they read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from offramp.tensors import TensorSpec

__all__ = ["LAYOUTS", "CarryingHead", "HeadKind", "layout_of"]

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


class CarryingHead(nn.Module):
    """A head that hands a code on to the next head of its kind, which goes on from it.

    ``follows`` is the path of the exit whose code it takes, if any, and ``followed`` says whether
    another one takes its own. A code is float32 of shape ``code_shape`` for each sample. Called
    with a feature alone, a head starts anew.
    """

    code_shape: tuple[int, ...]

    def __init__(self) -> None:
        super().__init__()
        self.follows: str | None = None
        self.followed = False

    def follow(self, path: str) -> None:
        """Go on from the code of the exit at ``path`` from now on."""
        self.follows = path

    def carry(self, feature: Tensor, code: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return logits and code from a feature and the code that is gone on from, if any."""
        raise NotImplementedError

    def forward(self, feature: Tensor, code: Tensor | None = None) -> Tensor:
        """Return the logits."""
        return self.carry(feature, code)[0]


def layout_of(tensor: TensorSpec) -> str | None:
    """Return a tensor's layout, or None for one that no head reads."""
    return LAYOUTS.get(len(tensor.shape))

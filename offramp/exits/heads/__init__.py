"""Exit heads: small modules that answer from a boundary's tensor. They need torch."""

from collections.abc import Callable

from torch import nn

from offramp.choices import choose
from offramp.errors import CaptureError
from offramp.exits.heads.linear import linear_head
from offramp.exits.heads.local import local_head
from offramp.tensors import TensorSpec

__all__ = ["HEADS", "build_head"]

HEADS: dict[str, Callable[[tuple[int, ...], int], nn.Sequential]] = {
    "linear": linear_head,
    "local": local_head,
}
"""Each takes the boundary tensor's shape without the batch, and the number of classes."""


def build_head(kind: str, tensor: TensorSpec, classes: int) -> nn.Sequential:
    """Return an untrained head; raise `CaptureError` if the boundary is not an image feature."""
    head = choose("exit head", kind, HEADS)
    if len(tensor.shape) != 3 or tensor.dtype != "float32":
        raise CaptureError(
            f"exit heads read float32 tensors of shape (channels, height, width); "
            f"{tensor.name!r} is {tensor.dtype} of shape {tensor.shape}"
        )
    return head(tensor.shape, classes)

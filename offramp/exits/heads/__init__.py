"""Exit heads: small modules that answer from a boundary's tensor. They need torch."""

from torch import nn

from offramp.choices import choose
from offramp.errors import CaptureError
from offramp.exits.heads import global_, latent, linear, local, sequence
from offramp.exits.heads.head import CarryingHead, HeadKind
from offramp.tensors import TensorSpec

__all__ = ["HEADS", "CarryingHead", "HeadKind", "build_head", "default_kind"]

_KINDS = (linear.HEAD, local.HEAD, global_.HEAD, latent.HEAD, sequence.HEAD)
HEADS: dict[str, HeadKind] = {head.name: head for head in _KINDS}

_DEFAULTS = ("local", "linear")


def default_kind(tensor: TensorSpec) -> str:
    """Return the kind of head that a boundary's tensor gets if none is asked for.

    Where its features have neighbours, `local` was the most accurate by far (docs/results.md).
    """
    return next((kind for kind in _DEFAULTS if HEADS[kind].fits(tensor)), _DEFAULTS[-1])


def build_head(kind: str, tensor: TensorSpec, classes: int) -> nn.Module:
    """Return an untrained head for a boundary's tensor.

    Raises `ConfigError` for an unknown kind, and `CaptureError` that names the kinds that fit if
    the head cannot read the tensor.
    """
    head = choose("exit head", kind, HEADS)
    if head.fits(tensor):
        return head.build(tensor.shape, classes)
    fitting = [other.name for other in HEADS.values() if other.fits(tensor)]
    does = f"heads that do: {', '.join(fitting)}" if fitting else "no head does"
    raise CaptureError(
        f"exit head {kind!r} does not read {tensor.name!r}, which is {tensor.dtype} of shape "
        f"{tensor.shape}; {does}; heads read float32 of shape (features,), (steps, features) or "
        "(channels, height, width)"
    )

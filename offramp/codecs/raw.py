"""The codec that leaves a tensor's bytes as they are."""

from __future__ import annotations

from dataclasses import dataclass

from offramp.codecs.codec import Codec
from offramp.codecs.elements import from_bytes, to_bytes
from offramp.tensors import Array, TensorSpec

__all__ = ["Raw"]


@dataclass(frozen=True)
class Raw(Codec):
    """The elements as they are."""

    def supports(self, spec: TensorSpec) -> bool:
        """Say yes: any tensor has bytes."""
        return True

    def encode(self, sample: Array) -> bytes:
        """Return the elements' bytes."""
        return to_bytes(sample)

    def decode(self, payload: bytes | memoryview, spec: TensorSpec) -> Array:
        """Return the elements that the bytes are."""
        return from_bytes(payload, spec)

"""The codec that compresses a tensor's bytes and gives every bit back."""

from __future__ import annotations

from dataclasses import dataclass

from offramp.codecs import zstd
from offramp.codecs.codec import Codec
from offramp.codecs.elements import from_bytes, to_bytes
from offramp.tensors import Array, TensorSpec

__all__ = ["Lossless"]


@dataclass(frozen=True)
class Lossless(Codec):
    """The elements in a Zstandard frame.

    The bytes are not shuffled by significance. For the float32 features of a residual network
    that made frames 2 to 9 per cent shorter at four cuts, 4 per cent longer at the sparsest
    and 15 for white noise through a ReLU, and encoding took half as long again.
    """

    def supports(self, spec: TensorSpec) -> bool:
        """Say yes: any tensor has bytes."""
        return True

    def encode(self, sample: Array) -> bytes:
        """Return the elements' bytes, compressed."""
        return zstd.compress(to_bytes(sample))

    def decode(self, payload: bytes | memoryview, spec: TensorSpec) -> Array:
        """Return the elements that the compressed bytes are."""
        return from_bytes(zstd.decompress(payload, spec.nbytes), spec)

"""The codec that halves the precision of float32 tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from offramp.codecs import zstd
from offramp.codecs.codec import Codec
from offramp.codecs.elements import from_bytes, to_bytes
from offramp.tensors import Array, TensorSpec

__all__ = ["Fp16"]

_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Fp16(Codec):
    """The elements rounded to float16, in a Zstandard frame.

    A finite element beyond float16's range becomes the largest float16 of its sign; infinities
    and not-a-numbers stay what they are.
    """

    def supports(self, spec: TensorSpec) -> bool:
        """Say whether the tensor is of float32."""
        return spec.dtype == "float32"

    def encode(self, sample: Array) -> bytes:
        """Return the elements as compressed float16."""
        largest = np.abs(sample).max()
        if not largest <= _LARGEST:  # not-a-number, too
            clipped = np.clip(sample, -_LARGEST, _LARGEST)
            sample = np.where(np.isfinite(sample), clipped, sample)
        return zstd.compress(to_bytes(sample.astype(np.float16)))

    def decode(self, payload: bytes | memoryview, spec: TensorSpec) -> Array:
        """Return the float16 elements as float32."""
        half = replace(spec, dtype="float16")
        return from_bytes(zstd.decompress(payload, half.nbytes), half).astype(np.float32)

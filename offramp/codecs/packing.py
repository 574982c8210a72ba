"""Small numbers packed several to a byte.

A byte holds as many codes as fit whole: four of 2 bits, two of 3 or 4 bits, one of more. Each
has an equal share of the byte, the first code the lowest one. Codes of 3 and 6 bits could be
packed more tightly, but Zstandard counts bytes: codes that straddle them cost it 3 to 24 per
cent more on the features of a residual network than the unused bits do.
"""

from __future__ import annotations

import numpy as np

from offramp.errors import FrameError
from offramp.tensors import Array

__all__ = ["pack", "packed_bytes", "unpack"]


def packed_bytes(count: int, bits: int) -> int:
    """Return how many bytes ``count`` codes of ``bits`` bits take."""
    return -(-count // (8 // bits))


def pack(codes: Array, bits: int) -> Array:
    """Return a flat uint8 array of codes below ``2**bits`` packed into bytes."""
    per_byte = 8 // bits
    if per_byte == 1:
        return codes
    if codes.size % per_byte:
        codes = np.pad(codes, (0, -codes.size % per_byte))
    words = codes.view(f"<u{per_byte}")
    packed = words
    for place in range(1, per_byte):
        packed = packed | words >> (place * (8 - 8 // per_byte))
    return packed.astype(np.uint8)


def unpack(packed: Array, count: int, bits: int) -> Array:
    """Return the ``count`` codes of ``bits`` bits that `pack` packed."""
    per_byte = 8 // bits
    share = 8 // per_byte
    codes = packed
    if per_byte > 1:
        words = packed.astype(f"<u{per_byte}")
        spread = words
        for place in range(1, per_byte):
            spread = spread | words << (place * (8 - share))
        spread &= int.from_bytes(bytes([(1 << share) - 1]) * per_byte, "little")
        codes = spread.view(np.uint8)
    if share > bits and codes.max() >> bits:
        raise FrameError(f"payload has a code of more than {bits} bits")
    if codes.size > count and codes[count:].any():
        raise FrameError("payload has codes after its last element")
    return codes[:count]

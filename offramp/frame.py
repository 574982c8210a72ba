"""Frames: one sample of one boundary tensor as bytes, with a header that is checked when read.

docs/wire-format.md is the specification; the table there and the checks here say the same.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np

from offramp.errors import FrameError, InputError
from offramp.tensors import DTYPES, MAX_DIMENSIONS, MAX_ELEMENTS

__all__ = [
    "MAGIC",
    "SHORT_MAGIC",
    "VERSION",
    "Frame",
    "codec_id",
    "is_change",
    "is_short",
    "pack",
    "pack_short",
    "short_id",
    "unpack",
    "unpack_short",
]

MAGIC = b"\x9cF"
VERSION = 1
SHORT_MAGIC = 0x9D
_CHANGE = 0x80  # of a short frame's codec id: the payload holds a change

_FIXED = struct.Struct("<2sBBBB")  # magic, version, codec id, dtype code, number of sides
_CODEC_AT = 3
_CHECKSUM = struct.Struct("<I")
_SHORT_BYTES = 2 + _CHECKSUM.size
_SHORTEST_BYTES = _FIXED.size + 1 + _CHECKSUM.size


@dataclass(frozen=True)
class Frame:
    """A tensor's codec, dtype and shape, and its elements as that codec wrote them."""

    codec_id: int
    dtype: str
    shape: tuple[int, ...]
    payload: bytes | memoryview


def pack(frame: Frame) -> bytes:
    """Return a frame's bytes; raise `InputError` if no frame can hold such a tensor."""
    dtype, shape = frame.dtype, frame.shape
    if dtype not in DTYPES or not 0 <= frame.codec_id < 256:
        raise InputError(f"no frame holds dtype {dtype!r} of codec {frame.codec_id}")
    if len(shape) > MAX_DIMENSIONS or min(shape, default=1) < 1 or math.prod(shape) > MAX_ELEMENTS:
        raise InputError(f"no frame holds a tensor of shape {shape}")
    header = bytearray(_FIXED.pack(MAGIC, VERSION, frame.codec_id, DTYPES.index(dtype), len(shape)))
    for number in (*shape, len(frame.payload)):
        _append_varint(header, number)
    checksum = zlib.crc32(frame.payload, zlib.crc32(header))
    return b"".join((header, frame.payload, _CHECKSUM.pack(checksum)))


def unpack(data: bytes | memoryview, *, limit_bytes: int) -> Frame:
    """Return the frame that ``data`` is; its payload is a view into ``data``.

    ``limit_bytes`` is the most that the decoded tensor may take. Raise `FrameError` for bytes
    that are no frame, before anything is allocated for the tensor.
    """
    view = memoryview(data)
    if len(view) < _SHORTEST_BYTES:
        raise FrameError(f"frame is too short: {len(view)} bytes of at least {_SHORTEST_BYTES}")
    magic, version, codec_id, dtype_code, dimensions = _FIXED.unpack_from(view)
    if magic != MAGIC:
        raise FrameError(f"frame has the wrong magic: {magic.hex()} instead of {MAGIC.hex()}")
    if version != VERSION:
        raise FrameError(f"frame has format version {version}; this release reads {VERSION}")
    if dtype_code >= len(DTYPES):
        raise FrameError(f"frame has an unknown dtype: code {dtype_code}")
    if dimensions > MAX_DIMENSIONS:
        raise FrameError(f"frame has too many dimensions: {dimensions} of at most {MAX_DIMENSIONS}")

    sides, place = [], _FIXED.size
    for _ in range(dimensions):
        side, place = _read_varint(view, place)
        sides.append(side)
    shape = tuple(sides)
    _check_size(DTYPES[dtype_code], shape, limit_bytes)
    payload_bytes, start = _read_varint(view, place)
    end = len(view) - _CHECKSUM.size
    if end - start < payload_bytes:
        raise FrameError(f"frame is cut short: {end - start} payload bytes of {payload_bytes}")
    if end - start > payload_bytes:
        raise FrameError(f"frame has trailing bytes: {end - start - payload_bytes} after its end")
    (checksum,) = _CHECKSUM.unpack_from(view, end)
    if checksum != zlib.crc32(view[:end]):
        raise FrameError(f"frame has the wrong checksum {checksum:08x}; it was altered on its way")
    return Frame(codec_id, DTYPES[dtype_code], shape, view[start:end])


def pack_short(codec_id: int, payload: bytes, seed: int, *, is_change: bool = False) -> bytes:
    """Return a frame without dtype, shape and length, which both ends know.

    Its checksum starts from ``seed``, the checksum of what it does not hold: a reader that knows
    otherwise refuses it. The payload holds a sample, or its change from one that both ends have.
    """
    if not 0 <= codec_id < _CHANGE:
        raise InputError(f"no short frame is of codec {codec_id}")
    header = bytes((SHORT_MAGIC, codec_id | _CHANGE if is_change else codec_id))
    checksum = zlib.crc32(payload, zlib.crc32(header, seed))
    return b"".join((header, payload, _CHECKSUM.pack(checksum)))


def is_short(data: bytes | memoryview) -> bool:
    """Tell whether bytes claim to be a short frame."""
    return len(data) > 0 and data[0] == SHORT_MAGIC


def short_id(data: bytes | memoryview) -> int:
    """Return the codec's id of a short frame; raise `FrameError` if it ends before."""
    if len(data) < _SHORT_BYTES:
        raise FrameError(f"frame is too short: {len(data)} bytes of at least {_SHORT_BYTES}")
    return data[1] & ~_CHANGE


def codec_id(data: bytes | memoryview) -> int:
    """Return the codec's id of a frame of either kind that has been read."""
    return short_id(data) if is_short(data) else data[_CODEC_AT]


def is_change(data: bytes | memoryview) -> bool:
    """Tell whether a short frame, of which `short_id` read the id, says that it holds a change."""
    return bool(data[1] & _CHANGE)


def unpack_short(data: bytes | memoryview, seed: int) -> memoryview:
    """Return the payload of a short frame; raise `FrameError` unless it is whole."""
    view = memoryview(data)
    end = len(view) - _CHECKSUM.size
    (checksum,) = _CHECKSUM.unpack_from(view, end)
    if checksum != zlib.crc32(view[:end], seed):
        raise FrameError(
            f"frame has the wrong checksum {checksum:08x}; it was altered on its way, or encoded "
            "with another calibration or for another shape"
        )
    return view[2:end]


def _check_size(dtype: str, shape: tuple[int, ...], limit_bytes: int) -> None:
    if 0 in shape:
        raise FrameError(f"frame has a side of zero: shape {shape}")
    elements = math.prod(shape)
    size_bytes = elements * np.dtype(dtype).itemsize
    if elements > MAX_ELEMENTS or size_bytes > limit_bytes:
        raise FrameError(
            f"frame is over the limit: {dtype} of shape {shape} takes {size_bytes} bytes, "
            f"more than {min(limit_bytes, MAX_ELEMENTS * np.dtype(dtype).itemsize)}"
        )


def _append_varint(buffer: bytearray, number: int) -> None:
    """Append ``number`` as LEB128: seven bits a byte, the lowest first."""
    while number > 0x7F:
        buffer.append(number & 0x7F | 0x80)
        number >>= 7
    buffer.append(number)


def _read_varint(view: memoryview, place: int) -> tuple[int, int]:
    """Return the number at ``place``, below 2**32 and in its shortest form, and where it ends."""
    number = 0
    for shift in range(0, 35, 7):
        if place == len(view) - _CHECKSUM.size:
            raise FrameError("frame is cut short: it ends within its header")
        byte = view[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if (shift and not byte) or number >> 32:
                break
            return number, place
    raise FrameError(f"frame has a malformed number that ends at byte {place}")

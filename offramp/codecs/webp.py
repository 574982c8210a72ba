"""The image codecs that write WebP (RFC 9649)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, ClassVar

from offramp.codecs.image import ImageCodec, Picture
from offramp.errors import FrameError

__all__ = ["WebP"]

_START = struct.Struct("<4sI4s4sI")  # RIFF, size, WEBP, the chunk's kind, its size
_LOSSY = struct.Struct("<3s3sHH")  # frame tag, start code, width, height
_LOSSLESS = struct.Struct("<BI")  # signature; width - 1, height - 1, alpha, version
_SIDE_MASK = 0x3FFF


@dataclass(frozen=True)
class WebP(ImageCodec):
    """Images as WebP of one chunk, without alpha, animation or metadata.

    WebP knows colour only: a grey image is written as colour and read back as its luma.
    """

    format: ClassVar[str] = "WEBP"
    longest_side: ClassVar[int] = 16_383

    def options(self, picture: Picture) -> dict[str, Any]:
        """Return the quality, or that nothing may be lost."""
        return {"lossless": True} if self.lossless else {"quality": self.quality}

    def check(self, payload: memoryview, picture: Picture) -> None:
        """Compare the container's only chunk and the start of the bitstream in it."""
        if len(payload) < _START.size + _LOSSY.size:
            raise FrameError(f"payload of {len(payload)} bytes is too short for a WebP image")
        *kinds, size_bytes = _START.unpack_from(payload)
        padded_bytes = size_bytes + size_bytes % 2
        kind = b"VP8L" if self.lossless else b"VP8 "
        if kinds != [b"RIFF", padded_bytes + 12, b"WEBP", kind]:
            raise FrameError(f"payload is not a WebP image of the one chunk {kind!r}")
        if len(payload) != _START.size + padded_bytes:
            raise FrameError("payload is a WebP image that does not end where it should")
        stated = _lossless_size(payload) if self.lossless else _lossy_size(payload)
        if stated != (picture.width, picture.height):
            raise FrameError(f"payload is a WebP image of {stated} pixels, not of {picture}")


def _lossy_size(payload: memoryview) -> tuple[int, int]:
    _, code, width, height = _LOSSY.unpack_from(payload, _START.size)
    if code != b"\x9d\x01\x2a":
        raise FrameError("payload is a WebP image without a key frame")
    return width & _SIDE_MASK, height & _SIDE_MASK


def _lossless_size(payload: memoryview) -> tuple[int, int]:
    signature, fields = _LOSSLESS.unpack_from(payload, _START.size)
    if signature != 0x2F or fields >> 28:
        raise FrameError("payload is a WebP image with alpha or of an unknown version")
    return (fields & _SIDE_MASK) + 1, (fields >> 14 & _SIDE_MASK) + 1

"""The image codec that writes PNG (RFC 2083)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, ClassVar

from offramp.codecs.image import ImageCodec, Picture
from offramp.errors import FrameError

__all__ = ["Png"]

_START = struct.Struct(">8sI4sIIBBBBB")
_CHUNK = struct.Struct(">I4s")
_CHECKSUM_BYTES = 4


@dataclass(frozen=True)
class Png(ImageCodec):
    """Images as PNG of 8 bits a channel, with no chunks but IHDR, IDAT and IEND.

    Other chunks can hold compressed text, of which a reader may unpack 64 MB.
    """

    format: ClassVar[str] = "PNG"
    longest_side: ClassVar[int] = 1 << 26

    def options(self, picture: Picture) -> dict[str, Any]:
        """Return Pillow's default effort."""
        return {"compress_level": 6}

    def check(self, payload: memoryview, picture: Picture) -> None:
        """Compare the first chunk and walk over the others."""
        colour = 2 if picture.channels == 3 else 0
        size = picture.width, picture.height
        start = _START.pack(b"\x89PNG\r\n\x1a\n", 13, b"IHDR", *size, 8, colour, 0, 0, 0)
        if bytes(payload[: len(start)]) != start:
            raise FrameError(f"payload does not start as a PNG image of {picture}")
        place = len(start) + _CHECKSUM_BYTES
        kind = b"IHDR"
        while kind != b"IEND":
            if place + _CHUNK.size > len(payload):
                raise FrameError("payload is a PNG image that is cut short")
            length_bytes, kind = _CHUNK.unpack_from(payload, place)
            if kind not in (b"IDAT", b"IEND"):
                raise FrameError(f"payload is a PNG image with a chunk {kind!r}")
            place += _CHUNK.size + length_bytes + _CHECKSUM_BYTES
        if place != len(payload):
            raise FrameError("payload is a PNG image that does not end where it should")

"""The image codec that writes JPEG (ITU-T T.81)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, ClassVar

from offramp.codecs.image import ImageCodec, Picture
from offramp.errors import FrameError

__all__ = ["Jpeg"]

_MARKER = struct.Struct(">BBH")
_FRAME_HEADER = struct.Struct(">BHHB")
_BASELINE, _SCAN = 0xC0, 0xDA
_MOST_FITTED_PIXELS = 1 << 15
_PASSED = {0xC4, 0xDB, 0xDD, 0xE0}  # Huffman and quantisation tables, restarts, JFIF


@dataclass(frozen=True)
class Jpeg(ImageCodec):
    """Images as baseline JPEG without metadata.

    Progressive files are refused, for a few bytes of them can ask for many passes over the
    picture, and so are the segments in which other pictures can hide.
    """

    format: ClassVar[str] = "JPEG"
    longest_side: ClassVar[int] = 65_500

    def options(self, picture: Picture) -> dict[str, Any]:
        """Return the quality, and for small pictures that the Huffman tables be fitted.

        That saves the 400 bytes of the standard tables, a third of a 32 x 32 picture. Pillow
        then needs room for the whole file; its buffer of 64 KiB is sure to hold small ones.
        """
        return {
            "quality": self.quality,
            "optimize": picture.width * picture.height <= _MOST_FITTED_PIXELS,
        }

    def check(self, payload: memoryview, picture: Picture) -> None:
        """Walk over the segments before the first scan."""
        if bytes(payload[:2]) != b"\xff\xd8" or bytes(payload[-2:]) != b"\xff\xd9":
            raise FrameError("payload is not one whole JPEG image")
        place, marker, frames = 2, 0, 0
        while marker != _SCAN:
            if place + _MARKER.size + _FRAME_HEADER.size > len(payload):
                raise FrameError("payload is a JPEG image that is cut short")
            prefix, marker, length_bytes = _MARKER.unpack_from(payload, place)
            if prefix != 0xFF or marker not in _PASSED | {_BASELINE, _SCAN}:
                raise FrameError(f"payload is a JPEG image with a segment {prefix:02x}{marker:02x}")
            if marker == _BASELINE:
                stated = _FRAME_HEADER.unpack_from(payload, place + _MARKER.size)
                if stated != (8, picture.height, picture.width, picture.channels):
                    raise FrameError(f"payload is a JPEG image of {stated}, not of {picture}")
                frames += 1
            place += 2 + length_bytes
        if frames != 1:
            raise FrameError(f"payload is a JPEG image with {frames} frame headers")

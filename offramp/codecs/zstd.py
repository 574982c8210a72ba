"""One Zstandard frame (RFC 8878) whose content size is known before it is read."""

from __future__ import annotations

import threading

import zstandard

from offramp.errors import FrameError

__all__ = ["LEVEL", "compress", "decompress"]

LEVEL = 3


class _Contexts(threading.local):
    """One thread's compressor and decompressor.

    They must not be shared between threads, and a new pair for each call would cost
    about 15 microseconds.
    """

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=LEVEL)
        self.decompressor = zstandard.ZstdDecompressor()


_contexts = _Contexts()


def compress(content: bytes | memoryview) -> bytes:
    """Return ``content`` as one frame that states its content size."""
    return _contexts.compressor.compress(content)


def decompress(frame: bytes | memoryview, size_bytes: int) -> bytes:
    """Return the ``size_bytes`` bytes that ``frame`` holds.

    Nothing is allocated for a frame that states another size, and never more than
    ``size_bytes`` for one that lies about it.
    """
    try:
        stated_bytes = zstandard.frame_content_size(frame)
        if stated_bytes != size_bytes:
            raise FrameError(f"payload states {stated_bytes} bytes of content, not {size_bytes}")
        content = _contexts.decompressor.decompress(
            frame, max_output_size=size_bytes, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise FrameError(f"payload is not one whole Zstandard frame: {error}") from error
    if len(content) != size_bytes:
        raise FrameError(f"payload holds {len(content)} bytes of content, not {size_bytes}")
    return content

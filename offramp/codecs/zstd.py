"""One Zstandard frame (RFC 8878) whose content size is known before it is read."""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence

import zstandard

from offramp.errors import ConfigError, FrameError

__all__ = ["LEVEL", "Headless", "compress", "decompress", "train"]

LEVEL = 3
_LEAST_TRAINED_BYTES = 8192

_HEADER = struct.Struct("<IBI")  # magic, descriptor, content size
_MAGIC = 0xFD2FB528
_SIZE_IN_FOUR_BYTES = 0xA0  # and as much window as content


class _Contexts(threading.local):
    """One thread's compressor and decompressor.

    They must not be shared between threads, and a new pair for each call would cost
    about 15 microseconds.
    """

    def __init__(self, dictionary: bytes = b"") -> None:
        known = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
        settings = zstandard.ZstdCompressionParameters.from_level(LEVEL, write_dict_id=False)
        self.compressor = zstandard.ZstdCompressor(dict_data=known, compression_params=settings)
        self.decompressor = zstandard.ZstdDecompressor(dict_data=known)

    def decompress(self, frame: bytes | memoryview, size_bytes: int) -> bytes:
        try:
            stated_bytes = zstandard.frame_content_size(frame)
            if stated_bytes != size_bytes:
                raise FrameError(
                    f"payload states {stated_bytes} bytes of content, not {size_bytes}"
                )
            content = self.decompressor.decompress(
                frame, max_output_size=size_bytes, allow_extra_data=False
            )
        except zstandard.ZstdError as error:
            raise FrameError(f"payload is not one whole Zstandard frame: {error}") from error
        if len(content) != size_bytes:
            raise FrameError(f"payload holds {len(content)} bytes of content, not {size_bytes}")
        return content


_contexts = _Contexts()


def compress(content: bytes | memoryview) -> bytes:
    """Return ``content`` as one frame that states its content size."""
    return _contexts.compressor.compress(content)


def decompress(frame: bytes | memoryview, size_bytes: int) -> bytes:
    """Return the ``size_bytes`` bytes that ``frame`` holds.

    Nothing is allocated for a frame that states another size, and never more than
    ``size_bytes`` for one that lies about it.
    """
    return _contexts.decompress(frame, size_bytes)


class Headless:
    """Frames without their header, for two ends that know the content's size and a dictionary.

    ``dictionary`` is one of `train`, or empty for none; raises `ConfigError` for a damaged one.
    """

    def __init__(self, dictionary: bytes) -> None:
        try:
            self._contexts = _Contexts(dictionary)
            self._contexts.compressor.compress(b"")
        except zstandard.ZstdError as error:
            raise ConfigError(f"a dictionary of {len(dictionary)} bytes is none: {error}") from None

    def compress(self, content: bytes | memoryview) -> bytes:
        """Return the blocks of ``content``."""
        frame = self._contexts.compressor.compress(content)
        return frame[zstandard.frame_header_size(frame) :]

    def decompress(self, blocks: bytes | memoryview, size_bytes: int) -> bytes:
        """Return the ``size_bytes`` bytes that ``blocks`` hold, as `decompress` does."""
        header = _HEADER.pack(_MAGIC, _SIZE_IN_FOUR_BYTES, size_bytes)
        return self._contexts.decompress(b"".join((header, blocks)), size_bytes)


def train(contents: Sequence[bytes], most_bytes: int) -> bytes:
    """Return a dictionary for contents like these; empty if they are too few or too small."""
    if sum(map(len, contents)) < _LEAST_TRAINED_BYTES:  # the library crashes on a few bytes
        return b""
    try:
        return zstandard.train_dictionary(most_bytes, list(contents)).as_bytes()
    except zstandard.ZstdError:
        return b""

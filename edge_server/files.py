"""Files: spans of a bundle's files, for the devices that fetch them."""

from __future__ import annotations

from collections.abc import Iterator

from offramp.bundle import MANIFEST, Bundle
from offramp.catalogue import FileRequest
from offramp.errors import InputError

__all__ = ["CHUNK_BYTES", "read_span"]

CHUNK_BYTES = 32 << 10
"""The most bytes in one message: what a link of 10 kbit/s carries before a call is given up."""


def read_span(bundle: Bundle, request: FileRequest) -> Iterator[bytes]:
    """Yield the bytes that a request asks for, in chunks.

    Raises `InputError` before the first of them if the bundle has no such file or offset. A file
    that is cut short or lost meanwhile ends early or raises `OSError`: the device sees the size.
    """
    name = request.path or MANIFEST
    if request.path and request.path not in bundle.manifest.files:
        raise InputError(f"bundle {request.digest[:12]} holds no file {request.path!r}")
    path = bundle.folder / name
    size = path.stat().st_size
    if request.offset_bytes > size:
        raise InputError(
            f"{name} has {size} bytes; there is nothing at offset {request.offset_bytes}"
        )
    left = size - request.offset_bytes
    left = min(left, request.max_bytes or left)
    with path.open("rb") as stream:
        stream.seek(request.offset_bytes)
        while left and (data := stream.read(min(CHUNK_BYTES, left))):
            left -= len(data)
            yield data

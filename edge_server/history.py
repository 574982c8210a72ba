"""The history of a stream: what is kept of its samples, so that later ones go as their changes."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from offramp.boundary_codec import References
from offramp.codecs.reference import MOST_BYTES, WINDOW
from offramp.errors import MissingReferenceError
from offramp.messages import Request

__all__ = ["History"]

_MOST = 32


@dataclass(frozen=True)
class _Sample:
    digest: str
    cut: int
    references: References
    size_bytes: int


class History:
    """The last samples of one stream that a later one may refer to.

    At most 32 of them and ``limit_bytes`` together; the oldest leave first, but none before
    `WINDOW` later ones have been kept. It has a lock, since workers begin samples at once.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._kept: dict[int, _Sample] = {}
        self._size_bytes = 0
        self._lock = threading.Lock()

    def find(self, request: Request) -> References:
        """Return what a request refers to, nothing if it does not.

        Raises `MissingReferenceError` if that is not kept, or is of another bundle or cut.
        """
        if request.reference is None:
            return ()
        with self._lock:
            kept = self._kept.get(request.reference)
        if kept is None or (kept.digest, kept.cut) != (request.digest, request.cut):
            raise MissingReferenceError(
                f"sample {request.reference}, to which sample {request.id} refers, is not kept "
                "here; send this one whole"
            )
        return kept.references

    def keep(self, request: Request, references: References) -> bool:
        """Keep a sample, if there is something and room enough; tell whether it is kept."""
        size_bytes = sum(one.codes.nbytes for one in references if one)
        with self._lock:
            if request.id in self._kept:
                self._drop(request.id)
            if not 0 < size_bytes <= min(MOST_BYTES, self._limit_bytes // (WINDOW + 1)):
                return False
            self._kept[request.id] = _Sample(request.digest, request.cut, references, size_bytes)
            self._size_bytes += size_bytes
            while len(self._kept) > _MOST or self._size_bytes > self._limit_bytes:
                self._drop(min(self._kept))
            return request.id in self._kept

    def _drop(self, sample: int) -> None:
        self._size_bytes -= self._kept.pop(sample).size_bytes

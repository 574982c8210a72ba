"""Incoming: one file of a bundle as it arrives in pieces, checked against its entry."""

from __future__ import annotations

import hashlib

from offramp.bundle.manifest import FileEntry
from offramp.errors import BundleError

__all__ = ["Incoming"]


class Incoming:
    """What has come of a file; refuses a byte too many, and a whole with another digest.

    It keeps the bytes' digest and number, not the bytes. ``name`` says in errors which file it is.
    """

    def __init__(self, name: str, entry: FileEntry) -> None:
        self.received_bytes = 0
        self._name = name
        self._entry = entry
        self._digest = hashlib.sha256()

    @property
    def missing_bytes(self) -> int:
        """How many bytes are still to come."""
        return self._entry.bytes - self.received_bytes

    def take(self, data: bytes) -> None:
        """Take in the next bytes; raise `BundleError` if they are more than are missing."""
        if len(data) > self.missing_bytes:
            raise BundleError(
                f"{self._name}: more bytes come than the {self._entry.bytes} that the manifest "
                "says; get the bundle elsewhere"
            )
        self.received_bytes += len(data)
        self._digest.update(data)

    @property
    def sound(self) -> bool:
        """Whether the file is whole and has the digest that the manifest says."""
        return not self.missing_bytes and self._digest.hexdigest() == self._entry.sha256

    def check(self) -> None:
        """Raise `BundleError` unless the file is `sound`."""
        if self.missing_bytes:
            raise BundleError(
                f"{self._name}: does not have the size that the manifest says "
                f"({self.received_bytes} bytes of {self._entry.bytes}); get the bundle again"
            )
        if not self.sound:
            raise BundleError(f"{self._name}: does not match its digest; get the bundle again")

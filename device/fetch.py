"""Fetching: brings a device's part of a bundle into the cache, from where it stopped last time.

Which files, what is missing of each and whether it is sound is decided by `offramp.bundle.part` and
`offramp.bundle.incoming`, when to try again by `device.patience`; here are the disk and the loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from device.patience import Patience
from offramp.backends import Backend
from offramp.bundle import MANIFEST, Bundle, FileEntry, Manifest
from offramp.bundle.archive import MAX_MANIFEST_BYTES
from offramp.bundle.cache import Cache, Lease, read_into
from offramp.bundle.incoming import Incoming
from offramp.bundle.manifest import decode_manifest
from offramp.bundle.part import device_part
from offramp.catalogue import FileRequest, Offer
from offramp.errors import BundleError, LinkError

__all__ = ["Fetch", "open_fetched"]

PATIENCE_S = 30.0
_LEAST_BYTES = 32 << 10  # a server's chunk, which has to come within the time that a call may take

Read = Callable[[FileRequest], Iterator[bytes]]
Progress = Callable[[int, int], None]
"""Is told how many bytes are here, and of how many."""


class Fetch:
    """Fetches what the first of ``engines`` that can run it needs of a bundle; use it once.

    ``read`` yields a file's bytes from an offset on, as many as it likes, and raises `LinkError`
    when it cannot go on. It is asked again until the file is whole, or less than 32 KiB of it have
    come in half a minute.
    """

    def __init__(
        self,
        read: Read,
        cache: Cache,
        engines: Sequence[Backend],
        progress: Progress = lambda done_bytes, of_bytes: None,
    ) -> None:
        self.fetched_bytes = 0
        self._read, self._cache, self._engines = read, cache, engines
        self._progress = progress
        self._here_bytes = self._part_bytes = 0

    def bundle(self, offer: Offer) -> Bundle:
        """Return the bundle that is offered, with the files that this device needs.

        Raises `BundleError` if it is not what its digest says, or has no room here, and
        `LinkError` if it does not come. What has come stays in the cache and is gone on from.
        """
        try:
            lease = self._cache.lease(offer.digest)
            with lease.writing():
                manifest = self._manifest(lease, offer)
                part = device_part(manifest, self._engines)
                absent = {n: entry for n, entry in part.items() if not lease.holds(n, entry)}
                self._prepare(lease, part, absent)
                for name, entry in absent.items():
                    self._receive(lease, name, entry)
                    lease.keep(name)
        except OSError as error:
            raise BundleError(self._cache.unwritable(error)) from None
        return Bundle(manifest, offer.digest, lease.folder, lease)

    def _manifest(self, lease: Lease, offer: Offer) -> Manifest:
        """Fetch the manifest, and keep it only if it can be run here."""
        if not 0 < offer.manifest_bytes <= MAX_MANIFEST_BYTES:
            raise BundleError(
                f"the server offers {offer.name!r} with a manifest of {offer.manifest_bytes} "
                "bytes; name a bundle file instead"
            )
        entry = FileEntry(bytes=offer.manifest_bytes, sha256=offer.digest)
        if lease.holds(MANIFEST, entry):
            return _decode(lease.folder / MANIFEST, lease.digest)
        self._receive(lease, MANIFEST, entry)
        try:
            manifest = _decode(lease.partial(MANIFEST), lease.digest)
            device_part(manifest, self._engines)
        except BundleError:
            lease.discard([MANIFEST])
            raise
        lease.keep(MANIFEST)
        return manifest

    def _prepare(
        self, lease: Lease, part: Mapping[str, FileEntry], absent: Mapping[str, FileEntry]
    ) -> None:
        """Make room for what is missing, and note how much that is."""
        missing_bytes = sum(entry.bytes for entry in absent.values())
        begun_bytes = sum(_size_bytes(lease.partial(name)) for name in absent)
        self._cache.reserve(max(missing_bytes - begun_bytes, 0), strict=True)
        self._part_bytes = sum(entry.bytes for entry in part.values())
        self._here_bytes = self._part_bytes - missing_bytes

    def _receive(self, lease: Lease, name: str, entry: FileEntry) -> None:
        """Bring one file to its partial, whole and sound; leave nothing there that is neither."""
        partial = lease.partial(name)
        try:
            begun_bytes = _size_bytes(partial)
            if 0 < begun_bytes <= entry.bytes:
                incoming = self._continue(lease, name, entry)
                if incoming.sound:
                    return
                self._here_bytes -= incoming.received_bytes
            # What an earlier run left, if anything, was not this file's beginning.
            partial.unlink(missing_ok=True)
            self._continue(lease, name, entry).check()
        except (BundleError, OSError):
            lease.discard([name])
            raise

    def _continue(self, lease: Lease, name: str, entry: FileEntry) -> Incoming:
        """Append to a file's partial until nothing is missing; return what is there then."""
        partial = lease.partial(name)
        incoming = Incoming(name, entry)
        path = "" if name == MANIFEST else name
        with partial.open("ab") as file:
            read_into(incoming, partial)
            self._here_bytes += incoming.received_bytes
            patience = Patience(PATIENCE_S, _LEAST_BYTES, time.monotonic())
            while incoming.missing_bytes:
                before_bytes = incoming.received_bytes
                request = FileRequest(lease.digest, path, before_bytes)
                reason = f"the server sends nothing of {name}, or hardly anything"
                try:
                    for data in self._pieces(request, patience):
                        incoming.take(data)
                        file.write(data)
                        self._count(len(data))
                except LinkError as error:
                    reason = str(error)
                if incoming.missing_bytes and patience.ended(time.monotonic()):
                    raise LinkError(reason)
                if incoming.received_bytes == before_bytes:
                    time.sleep(patience.pause_s())
        return incoming

    def _pieces(self, request: FileRequest, patience: Patience) -> Iterator[bytes]:
        """Yield what comes of a file, until it is nothing or too little."""
        for data in self._read(request):
            if not data:
                return
            now_s = time.monotonic()
            patience.came(now_s, len(data))
            yield data
            if patience.ended(now_s):
                return

    def _count(self, received_bytes: int) -> None:
        self.fetched_bytes += received_bytes
        self._here_bytes += received_bytes
        if self._part_bytes:
            self._progress(self._here_bytes, self._part_bytes)


def open_fetched(cache: Cache, digest: str, engines: Sequence[Backend]) -> Bundle:
    """Open the part of a bundle that was fetched before; raise `BundleError` if it is not whole."""
    try:
        lease = cache.lease(digest)
        manifest = _decode(lease.folder / MANIFEST, lease.digest)
    except OSError as error:
        raise BundleError(f"{cache.folder}: cannot be read ({error.strerror})") from None
    for name, entry in device_part(manifest, engines).items():
        if not lease.holds(name, entry):
            raise BundleError(f"{lease.folder / name}: is not whole; fetch the bundle again")
    return Bundle(manifest, digest, lease.folder, lease)


def _decode(path: Path, digest: str) -> Manifest:
    manifest, found = decode_manifest(path.read_bytes(), "the bundle that was fetched")
    if found != digest:
        raise BundleError(f"{path}: does not match its digest; fetch the bundle again")
    return manifest


def _size_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

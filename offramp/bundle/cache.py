"""The cache: bundles and parts of bundles on disk, by digest, within a limit of size.

    <cache>/<digest>/…           whole files of a bundle, each put in place at once
    <cache>/<digest>/….partial   a file on its way; what came is kept and gone on from
    <cache>/.sources/            which bundle came last from which server
    <cache>/.locks/              who uses and who writes what; for the system's file locks

Any number of processes may share it. What is not in use may be evicted at any time, the least
recently used first. Files are not flushed to the medium: whatever a loss of power does to them,
they are checked against their digests before they are used.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from offramp.bundle.incoming import Incoming
from offramp.bundle.manifest import FileEntry
from offramp.bundle.room import Held, make_room
from offramp.errors import BundleError
from offramp.files import replacing

__all__ = ["BLOCK_BYTES", "DEFAULT_LIMIT_BYTES", "Cache", "Lease", "cache_folder", "read_into"]

DEFAULT_LIMIT_BYTES = 2 << 30
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LOCK_S = 10.0
_STALLED_S = 60.0
_POLL_S = 0.05
BLOCK_BYTES = 1 << 20


class Lease:
    """A bundle's folder in the cache, kept from eviction until this object is gone."""

    def __init__(self, folder: Path, locks: Path, descriptor: int) -> None:
        self.folder = folder
        self._locks = locks
        self.release = weakref.finalize(self, os.close, descriptor)

    @property
    def digest(self) -> str:
        """The bundle's digest."""
        return self.folder.name

    def partial(self, name: str) -> Path:
        """Return the path under which a file comes in; its folder is there."""
        path = self.folder / f"{name}.partial"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def keep(self, name: str) -> None:
        """Put a file that has come in, and was checked, into its place."""
        os.replace(self.folder / f"{name}.partial", self.folder / name)

    def holds(self, name: str, entry: FileEntry) -> bool:
        """Whether the file is there and has the size and digest that the manifest says."""
        try:
            if (self.folder / name).stat().st_size != entry.bytes:
                return False
            return read_into(Incoming(name, entry), self.folder / name).sound
        except OSError:
            return False

    def discard(self, names: Iterable[str]) -> None:
        """Remove files, whole or coming in, and the folders that are empty then."""
        for name in names:
            for path in (self.folder / name, self.folder / f"{name}.partial"):
                with contextlib.suppress(OSError):
                    path.unlink()
        for home, _, _ in os.walk(self.folder, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(home)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Be the one that writes to this folder.

        Waits for another one as long as that gets on; raises `BundleError` when it has not for
        a minute.
        """
        path = self._locks / f"{self.digest}.write"
        with _locked(path, _STALLED_S, lambda: _size_bytes(self.folder)):
            yield


@dataclass(frozen=True)
class Cache:
    """A folder of bundles; ``limit_bytes`` is the most that they are meant to take together."""

    folder: Path
    limit_bytes: int = DEFAULT_LIMIT_BYTES

    def lease(self, digest: str) -> Lease:
        """Note that a bundle is used now, and keep its folder from eviction."""
        with self._locked():
            path = self._locks / f"{digest}.use"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            os.utime(descriptor)
            return Lease(self.folder / digest, self._locks, descriptor)

    def reserve(self, need_bytes: int, *, strict: bool = False) -> None:
        """Evict what has to go so that ``need_bytes`` more fit.

        If ``strict``, raises `BundleError`, and evicts nothing, if they do not fit all the same.
        """
        with self._locked(), contextlib.ExitStack() as stack:
            held = [self._held(digest, stack) for digest in self._digests()]
            room = make_room(held, need_bytes, self.limit_bytes)
            free_bytes = shutil.disk_usage(self.folder).free
            freed_bytes = sum(b.size_bytes for b in held if b.digest in room.evicted)
            if strict and room.excess_bytes:
                raise BundleError(
                    f"{self.folder}: the bundle takes {need_bytes} bytes more, which is "
                    f"{room.excess_bytes} over the limit beside what is in use; raise "
                    f"cache_limit_bytes (now {self.limit_bytes})"
                )
            if strict and need_bytes > free_bytes + freed_bytes:
                raise BundleError(
                    f"{self.folder}: the bundle takes {need_bytes} bytes more and the disk has "
                    f"{free_bytes}; free some space or set OFFRAMP_CACHE to another folder"
                )
            for digest in room.evicted:
                shutil.rmtree(self.folder / digest, ignore_errors=True)
                for kind in ("use", "write"):
                    (self._locks / f"{digest}.{kind}").unlink(missing_ok=True)

    def remember(self, source: str, digest: str) -> None:
        """Note which bundle came last from a source, for when the source cannot be reached.

        A disk that is full now costs no more than that.
        """
        path = self._note(source)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as partial:
                partial.write_text(digest)

    def recall(self, source: str) -> str | None:
        """Return the digest of the bundle that came last from a source, if one is known."""
        try:
            digest = self._note(source).read_text()
        except OSError:
            return None
        return digest if _DIGEST.fullmatch(digest) else None

    def _note(self, source: str) -> Path:
        return self.folder / ".sources" / hashlib.sha256(source.encode()).hexdigest()

    def unwritable(self, error: OSError) -> str:
        """Say that the cache cannot be written, why, and what to do."""
        return (
            f"{self.folder}: cannot be written ({error.strerror}); free some space or set "
            "OFFRAMP_CACHE to another folder"
        )

    @property
    def _locks(self) -> Path:
        return self.folder / ".locks"

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        self._locks.mkdir(parents=True, exist_ok=True)
        return _locked(self._locks / "cache", _LOCK_S)

    def _digests(self) -> list[str]:
        return [path.name for path in self.folder.iterdir() if _DIGEST.fullmatch(path.name)]

    def _held(self, digest: str, stack: contextlib.ExitStack) -> Held:
        """Look at one bundle; if nobody uses it, keep it so until ``stack`` ends."""
        path = self._locks / f"{digest}.use"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        stack.callback(os.close, descriptor)
        return Held(
            digest,
            _size_bytes(self.folder / digest),
            os.fstat(descriptor).st_mtime,
            in_use=not _try_lock(descriptor),
        )


def cache_folder() -> Path:
    """Return the folder of the cache: ``$OFFRAMP_CACHE`` or ``~/.cache/offramp``."""
    given = os.environ.get("OFFRAMP_CACHE")
    try:
        return Path(given) if given else Path.home() / ".cache" / "offramp"
    except RuntimeError:
        raise BundleError(
            "there is no home folder for unpacked bundles; set OFFRAMP_CACHE"
        ) from None


def read_into(incoming: Incoming, path: Path) -> Incoming:
    """Take in what a file holds, up to one byte more than is missing."""
    with path.open("rb") as stream:
        while data := stream.read(min(BLOCK_BYTES, incoming.missing_bytes + 1)):
            incoming.take(data)
    return incoming


@contextlib.contextmanager
def _locked(path: Path, limit_s: float, progress: Callable[[], int] = lambda: 0) -> Iterator[None]:
    """Hold a file's lock; wait for it until ``progress`` has stood still for ``limit_s``."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        seen, since_s = progress(), time.monotonic()
        while not _try_lock(descriptor):
            time.sleep(_POLL_S)
            if progress() != seen:
                seen, since_s = progress(), time.monotonic()
            if time.monotonic() - since_s >= limit_s:
                raise BundleError(
                    f"{path}: another process has held it for {limit_s:.0f} s and does not get "
                    "on; end that process"
                )
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _size_bytes(folder: Path) -> int:
    total = 0
    for home, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(home, name)).st_size
    return total

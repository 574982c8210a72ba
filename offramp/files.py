"""Files that a user names, and the one error for those that cannot be read or written."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import tempfile
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import TextIO

from offramp.errors import ConfigError

__all__ = [
    "FileStamp",
    "check_writable",
    "file_stamp",
    "open_file",
    "partial_beside",
    "read_file",
    "replacing",
    "scratch_folder",
    "unwritable",
    "warn_if_open",
    "write_file",
    "writing_text",
]

FileStamp = tuple[int, int, int] | None
"""What tells one state of a file from the next, None if it is not there."""

_OTHERS = 0o077

_log = logging.getLogger(__name__)

_FOLDER = "is a folder; name a file"
_REMEDIES = {
    errno.ENOENT: "make its folder, or ",
    errno.ENOSPC: "free some space, or ",
    errno.EDQUOT: "free some space, or ",
    errno.EFBIG: "allow larger files (ulimit -f), or ",
}


def open_file(path: Path) -> BufferedReader:
    """Open a file to read; raise `ConfigError` if it is not there or cannot be read."""
    try:
        return path.open("rb")
    except (OSError, ValueError) as error:  # the latter for a name that no system allows
        raise _unreadable(path, error) from None


def read_file(path: Path) -> bytes:
    """Return what a file holds; raise `ConfigError` if it is not there or cannot be read."""
    with open_file(path) as stream:
        try:
            return stream.read()
        except OSError as error:
            raise _unreadable(path, error) from None


def file_stamp(path: Path) -> FileStamp:
    """Return what changes when a file is written or another one takes its place."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def warn_if_open(secret: Path) -> None:
    """Log a warning if other users of this machine can read a file that is a secret."""
    if secret.stat().st_mode & _OTHERS:
        _log.warning("%s can be read by other users of this machine; chmod 600 it", secret)


def write_file(path: Path, data: bytes) -> None:
    """Write a file, which appears whole or not at all; raise `ConfigError` if it cannot be."""
    try:
        if path.exists() and not path.is_file():  # a device or a pipe is written, not replaced
            path.write_bytes(data)
            return
        with replacing(path) as partial:
            partial.write_bytes(data)
    except (OSError, ValueError) as error:
        raise unwritable(path, error) from None


def check_writable(path: Path) -> None:
    """Raise `ConfigError` now if `write_file` could not write there after long work."""
    try:
        if path.exists() and not path.is_file():
            if path.is_dir() or not os.access(path, os.W_OK):
                code = errno.EISDIR if path.is_dir() else errno.EACCES
                raise OSError(code, os.strerror(code))
            return
        partial = partial_beside(path)
        partial.touch()
        partial.unlink()
    except (OSError, ValueError) as error:
        raise unwritable(path, error) from None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; it takes its place at the end if all went well.

    Nothing is left of it otherwise.
    """
    partial = partial_beside(path)
    try:
        yield partial
        os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


@contextlib.contextmanager
def writing_text(path: Path) -> Iterator[TextIO]:
    """Give a stream whose text becomes the file at the end, if all went well.

    Raises `ConfigError` if it cannot be written; any `OSError` within is taken for that.
    """
    try:
        with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
            yield stream
    except OSError as error:
        raise unwritable(path, error) from None


def partial_beside(path: Path) -> Path:
    """Return where this process writes what is to take the place of a file."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def unwritable(path: Path, error: OSError | ValueError) -> ConfigError:
    """Return the error for a file that cannot be written, and what to do about it."""
    if _is_folder(error):
        return ConfigError(f"{path}: {_FOLDER}")
    reason = getattr(error, "strerror", None) or error
    remedy = _REMEDIES.get(getattr(error, "errno", 0), "")
    return ConfigError(f"{path}: cannot be written ({reason}); {remedy}name another place")


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a folder that is gone afterwards; raise `ConfigError` where it cannot be written."""
    try:
        with tempfile.TemporaryDirectory(prefix="offramp-") as folder:
            yield Path(folder)
    except OSError as error:
        where = error.filename or tempfile.gettempdir()
        raise ConfigError(
            f"{where}: cannot be written ({error.strerror or error}); free some space there or set "
            "TMPDIR to another folder"
        ) from None


def _is_folder(error: OSError | ValueError) -> bool:
    return getattr(error, "errno", 0) == errno.EISDIR


def _unreadable(path: Path, error: OSError | ValueError) -> ConfigError:
    if _is_folder(error):
        return ConfigError(f"{path}: {_FOLDER}")
    reason = getattr(error, "strerror", None) or error
    return ConfigError(f"{path}: cannot be read ({reason}); name a file that is there")

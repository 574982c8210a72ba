"""Files that a user names, and the one error for those that cannot be read."""

from __future__ import annotations

from io import BufferedReader
from pathlib import Path

from offramp.errors import ConfigError

__all__ = ["open_file", "read_file"]


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


def _unreadable(path: Path, error: OSError | ValueError) -> ConfigError:
    reason = getattr(error, "strerror", None) or error
    return ConfigError(f"{path}: cannot be read ({reason}); name a file that is there")

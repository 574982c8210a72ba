"""Folders that are watched: which files of bundles have come, changed or gone, from look to look.

A file counts once two looks in a row have found it alike: one that is being written changes. What
is not there for one look, such as a file that is moved into another's place, has not gone. While
the folder itself cannot be read nothing has.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["Changes", "FolderWatch", "Stamp", "scan"]

_ENDING = ".offramp"


class Stamp(NamedTuple):
    """What tells one state of a file from the next; the first to change came first."""

    changed_ns: int
    size_bytes: int
    inode: int


class Changes(NamedTuple):
    """The names of files to take in, as they came, and of those to let go."""

    came: Sequence[str]
    went: Sequence[str]


class FolderWatch:
    """What was taken in of a folder's files, and what the last look found."""

    def __init__(self) -> None:
        self._taken: dict[str, Stamp | None] = {}
        self._last: Mapping[str, Stamp] = {}

    def look(self, found: Mapping[str, Stamp] | None) -> Changes:
        """Return what is to be done now that a look has found so much; None: no folder."""
        if found is None:
            self._last = self._known()
            return Changes((), ())
        last, self._last = self._last, found
        came = {n: s for n, s in found.items() if last.get(n) == s and self._taken.get(n) != s}
        went = [name for name in self._taken if name not in found and name not in last]
        self._taken.update(came)
        for name in went:
            del self._taken[name]
        return Changes(sorted(came, key=lambda name: (came[name], name)), went)

    def forget(self, wanted: Callable[[str], bool]) -> None:
        """Take the files of wanted names for changed."""
        for name in filter(wanted, self._taken):
            self._taken[name] = None

    def _known(self) -> dict[str, Stamp]:
        return {name: stamp or Stamp(0, 0, 0) for name, stamp in self._taken.items()}


def scan(folder: Path) -> dict[str, Stamp] | None:
    """Return the files of bundles in a folder; None if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if e.name.endswith(_ENDING) and e.name[0] != "."]
    except OSError:
        return None
    stamps = ((name, _stamp(folder / name)) for name in names)
    return {name: stamp for name, stamp in stamps if stamp}


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:  # gone since, or a link that leads nowhere
        return None
    return Stamp(found.st_mtime_ns, found.st_size, found.st_ino) if path.is_file() else None

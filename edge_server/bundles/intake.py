"""The intake: follows the files that a server is to serve."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

from edge_server.bundles.folder import FolderWatch, scan
from edge_server.bundles.holdings import ARGUMENTS
from edge_server.bundles.librarian import Librarian, one_line

__all__ = ["Intake"]

_LOOK_S = 1.0

_log = logging.getLogger(__name__)


class Intake:
    """Looks at a ``folder``, if there is one, all the time, and at ``bundles`` when asked to.

    Setting ``asked`` has all of them opened again.
    """

    def __init__(self, librarian: Librarian, bundles: Sequence[Path], folder: Path | None) -> None:
        self.asked = asyncio.Event()
        self._librarian, self._bundles, self._folder = librarian, bundles, folder
        self._watch = FolderWatch()
        self._there = True

    async def begin(self) -> None:
        """Take in what lies in the folder."""
        await self._look()
        await self._look()

    async def run(self) -> None:
        """Follow the files, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self.asked.wait()
            if self.asked.is_set():
                self.asked.clear()
                self._watch.forget(lambda name: True)
                await self._open_arguments()
            await self._seek_lost()
            await self._look()

    async def _seek_lost(self) -> None:
        """Open the files again of bundles that could not come back into memory."""
        lost = self._librarian.take_lost()
        if ARGUMENTS in lost:
            await self._open_arguments()
        self._watch.forget(lambda name: self._source(name) in lost)

    async def _open_arguments(self) -> None:
        if not self._bundles:
            return
        before = self._librarian.holdings.catalogue()
        try:
            await self._librarian.take_in(ARGUMENTS, self._bundles)
        except Exception as error:  # a server that serves well goes on, whatever it is given
            _log.error("the bundles stay as they are: %s", one_line(error))
            return
        if self._librarian.holdings.catalogue() == before:
            _log.info("the bundles have not changed")

    async def _look(self) -> None:
        if self._folder is None:
            return
        found = await asyncio.to_thread(scan, self._folder)
        self._tell_whether_there(found is not None)
        changes = self._watch.look(found)
        for name in changes.came:
            path = self._source(name)
            try:
                await self._librarian.take_in(path, [Path(path)])
            except Exception as error:
                _log.error("%s is not served: %s", path, one_line(error))
        for name in changes.went:
            self._librarian.let_go(self._source(name))

    def _source(self, name: str) -> str:
        """Return what a file of the folder is called as one that gives a bundle."""
        assert self._folder is not None
        return str(self._folder / name)

    def _tell_whether_there(self, there: bool) -> None:
        if there and not self._there:
            _log.info("%s is there again", self._folder)
        elif self._there and not there:
            _log.warning("%s cannot be read; what came from it is served on", self._folder)
        self._there = there

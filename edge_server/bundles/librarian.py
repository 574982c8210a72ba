"""The librarian: loads and unloads bundles in threads, beside the samples that are served."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_server.bundles.books import Book, Load, Unload
from edge_server.bundles.holdings import Holdings
from edge_server.bundles.library import InFlight
from edge_server.bundles.loading import Loader
from offramp.catalogue import Catalogue
from offramp.memory import return_unused_memory

__all__ = ["Librarian"]

_LOOK_S = 0.05  # while a bundle waits for room, or for its last samples
_REST_S = 1.0

_log = logging.getLogger(__name__)


class Librarian:
    """Carries out what the library decides, on the event loop on which it `run`s.

    ``in_flight`` says how many samples of a bundle are on their way; ``announce`` is called when
    the catalogue has changed.
    """

    def __init__(
        self,
        holdings: Holdings,
        loader: Loader,
        in_flight: InFlight,
        announce: Callable[[], None],
    ) -> None:
        self.holdings = holdings
        self._loader, self._in_flight, self._announce = loader, in_flight, announce
        self._told = Catalogue()
        self._trials: dict[str, asyncio.Future[None]] = {}
        self._lost: set[str] = set()
        self._intake = asyncio.Lock()
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Load and unload what the library says, until cancelled."""
        loop = asyncio.get_running_loop()
        self.holdings.on_asked = lambda: loop.call_soon_threadsafe(self._woken.set)
        try:
            while True:
                try:
                    await self._do_next()
                except Exception:  # a server that serves well goes on, and somebody is told
                    _log.exception("bundles could not be loaded or unloaded; trying again")
                    await asyncio.sleep(_REST_S)
        finally:
            self.holdings.on_asked = lambda: None

    async def take_in(self, source: str, paths: Sequence[Path]) -> list[Book]:
        """Have a source give the bundles at some paths, once all of them have been tried out.

        Raises why if one of them cannot be; then nothing has changed.
        """
        async with self._intake:
            try:
                books = [await asyncio.to_thread(self._loader.read, path) for path in paths]
                for book in books:
                    if self.holdings.enter(book):
                        await self._tried(book)
                self.holdings.give(source, [book.digest for book in books])
            finally:
                self.holdings.abandon()
                self.tell()
        return books

    def let_go(self, source: str) -> None:
        """Have a source give nothing any more."""
        self.holdings.give(source, ())
        self.tell()

    def unload(self, digest: str) -> bool:
        """Take a bundle away from everything that gives it, and tell whether it was known."""
        was_known = any(offer.digest == digest for offer in self.holdings.catalogue().offers)
        self.holdings.drop(digest)
        self.tell()
        return was_known

    def take_lost(self) -> set[str]:
        """Return the sources of bundles that could not be loaded again since the last time."""
        lost, self._lost = self._lost, set()
        return lost

    def tell(self) -> None:
        """Log and announce what has changed in the catalogue, if anything has."""
        self._woken.set()
        before, self._told = self._told, self.holdings.catalogue()
        for offer in self._told.offers:
            if offer not in before.offers:
                verb = "still serving" if offer.superseded else "serving"
                told = verb, offer.name, offer.segments, offer.digest
                ids = {"bundle": offer.digest}
                _log.info("%s %r, %d segments, bundle %s", *told, extra=ids)
        left = {one.digest for one in before.offers} - {one.digest for one in self._told.offers}
        for digest in sorted(left):
            _log.info("no longer serving bundle %s", digest, extra={"bundle": digest})
        if before != self._told:
            self._announce()

    async def _do_next(self) -> None:
        match self.holdings.next(self._in_flight):
            case Load(book):
                await self._load(book)
            case Unload(book):
                await self._unload(book)
            case None:
                await self._rest()

    async def _rest(self) -> None:
        limit_s = _REST_S if self.holdings.settled else _LOOK_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._woken.wait()
        self._woken.clear()

    async def _tried(self, book: Book) -> None:
        """Wait until a bundle has been loaded; raise why if it cannot be."""
        self._trials[book.digest] = asyncio.get_running_loop().create_future()
        self._woken.set()
        try:
            await self._trials[book.digest]
        finally:
            del self._trials[book.digest]

    async def _load(self, book: Book) -> None:
        error = None
        try:
            network = await asyncio.to_thread(self._loader.load, book)
        except Exception as raised:  # a server that serves well goes on, whatever it is given
            error = raised
            self._lose(book, error)
        else:
            self.holdings.loaded(network)
        trial = self._trials.get(book.digest)
        if trial is not None and not trial.done():
            trial.set_exception(error) if error else trial.set_result(None)

    def _lose(self, book: Book, error: Exception) -> None:
        known = [one for one in self.holdings.stock() if one.book is book]
        for stock in known:
            told, ids = (book.digest, one_line(error)), {"bundle": book.digest}
            _log.error("bundle %s cannot be loaded again: %s", *told, extra=ids)
            self._lost.update(stock.sources)
        self.holdings.failed(book.digest)
        if known:
            self.tell()

    async def _unload(self, book: Book) -> None:
        self.holdings.unload(book.digest)
        await asyncio.to_thread(_return_memory)
        _log.info("bundle %s has left memory", book.digest, extra={"bundle": book.digest})


def _return_memory() -> None:
    gc.collect()  # a network of torch refers to itself
    return_unused_memory()


def one_line(error: Exception) -> str:
    """Return what an error says, in one line."""
    return " ".join(str(error).split()) or repr(error)

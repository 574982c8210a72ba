"""Administration: loads and unloads bundles for clients that may, from folders that are allowed."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from edge_server.bundles.books import Stock
from edge_server.bundles.librarian import Librarian
from edge_server.bundles.library import InFlight
from edge_server.security.clients import Client
from offramp.administration import HeldBundle
from offramp.errors import InputError, RightsError, UnknownBundleError

__all__ = ["Administration"]

_SHOWN = 100  # characters of a path that an error quotes

_log = logging.getLogger(__name__)


class Administration:
    """What clients may do that are entitled to; every call has the same effect if made again.

    Bundles are loaded from inside ``folders`` alone. Raises `RightsError` for clients that may not
    administer the server, which is all of them unless a file of clients says otherwise.
    """

    def __init__(self, librarian: Librarian, in_flight: InFlight, folders: Sequence[Path]) -> None:
        self._librarian, self._in_flight = librarian, in_flight
        self._folders = folders

    def list(self, client: Client) -> list[HeldBundle]:
        """Return what is known."""
        _check(client)
        return [self._held(stock) for stock in self._librarian.holdings.stock()]

    async def load(self, client: Client, path: str) -> HeldBundle:
        """Take in a bundle and return it once it is served; raise why if it cannot be."""
        _check(client)
        found = self._inside(path)
        _log.info("client %r loads %s", client.name, found)
        (book,) = await self._librarian.take_in(str(found), [found])
        for stock in self._librarian.holdings.stock():
            if stock.book.digest == book.digest:
                return self._held(stock)
        raise UnknownBundleError(f"bundle {book.digest[:12]} was unloaded meanwhile; load it again")

    def unload(self, client: Client, digest: str) -> bool:
        """Take a bundle away from all that gives it, and tell whether it was known."""
        _check(client)
        _log.info("client %r unloads bundle %s", client.name, digest)
        return self._librarian.unload(digest)

    def _inside(self, given: str) -> Path:
        """Return a path inside an allowed folder; links lead nowhere else."""
        try:
            if not given:
                raise ValueError("there is no path")
            inside = [path for folder in self._folders if (path := _below(folder, given))]
            there = [path for path in inside if path.exists()]
        except (OSError, RuntimeError, ValueError):  # too long, links in a circle, or a zero in it
            raise InputError(
                f"path {given[:_SHOWN]!r} names no file; send a bundle's path on the server"
            ) from None
        if not inside:
            raise RightsError(
                f"path {given!r} is in no folder that bundles may be loaded from; put the file "
                "into the server's admin_folder, or into the one that it watches"
            )
        return (there or inside)[0]

    def _held(self, stock: Stock) -> HeldBundle:
        book = stock.book
        return HeldBundle(
            stock.offer,
            stock.stage.value,
            book.size_bytes,
            self._in_flight(book.digest),
            max(time.monotonic() - stock.used_s, 0.0),
            stock.sources,
        )


def _below(folder: Path, given: str) -> Path | None:
    """Return where a path leads, if that is inside a folder; under the name that it is known by."""
    home = folder.resolve()
    found = (home / given).resolve()
    return folder / found.relative_to(home) if found.is_relative_to(home) else None


def _check(client: Client) -> None:
    if not client.may_administer:
        raise RightsError(
            f"client {client.name!r} may not administer this server; set may_administer for it in "
            "the file of clients (offramp serve --clients)"
        )

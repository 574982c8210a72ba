"""Holdings: the bundles that a server knows, and the networks of those in memory."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from edge_server.bundles.books import Book, Load, Stock, Unload
from edge_server.bundles.library import InFlight, Library
from edge_server.passage import Place
from edge_server.scheduling.step_costs import StepCosts
from offramp.bundle import Bundle
from offramp.catalogue import Catalogue
from offramp.errors import AbsentBundleError, UnknownBundleError
from offramp.network import Network

__all__ = ["ARGUMENTS", "Holdings"]

ARGUMENTS = "arguments"
"""The source of the bundles that the server was started with."""


class Holdings:
    """A `Library` with a clock, a lock and the networks; may be used from several threads.

    ``on_asked`` is called, on any thread, when a sample asks for a bundle that is not in memory.
    ``costs`` are those of the networks' steps.
    """

    def __init__(self, budget_bytes: float = math.inf) -> None:
        self.networks: Mapping[str, Network] = {}
        self.costs = StepCosts()
        self.on_asked: Callable[[], object] = lambda: None
        self._library = Library(budget_bytes)
        self._lock = threading.Lock()

    def network(self, digest: str) -> Network:
        """Return a network in memory, be it about to leave; raise `UnknownBundleError` if none."""
        network = self.networks.get(digest)
        if network is None:
            raise _unknown(digest)
        return network

    def lend(self, digest: str) -> Network:
        """Return the network for a sample that comes now.

        Raises `UnknownBundleError`, or `AbsentBundleError` if the bundle is loaded again first.
        """
        with self._lock:
            wait_s = self._library.use(time.monotonic(), digest)
        if wait_s is None:
            raise _unknown(digest)
        if wait_s:
            self.on_asked()
            raise AbsentBundleError(
                f"bundle {digest[:12]} is not in memory, where not all bundles fit, and is loaded "
                f"again; try again in {wait_s * 1e3:.0f} ms or run the sample on the device",
                retry_after_s=wait_s,
            )
        return self.network(digest)

    def bundle(self, digest: str) -> Bundle:
        """Return a bundle that is known, in memory or not; raise `UnknownBundleError` if none."""
        with self._lock:
            book = self._library.book(digest)
        if book is None:
            raise _unknown(digest)
        return book.bundle

    def catalogue(self) -> Catalogue:
        """Return what is known, in the form that devices read."""
        with self._lock:
            return self._library.catalogue()

    def stock(self) -> Sequence[Stock]:
        """Return what is known, and where it is."""
        with self._lock:
            return self._library.stock()

    def fill(self, books: Iterable[Book], load: Callable[[Book], Network]) -> None:
        """Load the bundles that a server is started with, before any sample comes."""
        digests = []
        for book in books:
            digests.append(book.digest)
            self.enter(book)
            while step := self.next(lambda _: 0):
                if isinstance(step, Load):
                    self.loaded(load(step.book))
                else:
                    self.unload(step.book.digest)
        self.give(ARGUMENTS, digests)

    def enter(self, book: Book) -> bool:
        """Have a bundle tried, as `Library.enter` does."""
        with self._lock:
            return self._library.enter(time.monotonic(), book)

    def abandon(self) -> None:
        """Let go of what was entered and nothing gives."""
        with self._lock:
            self._library.abandon()
            self._forget_costs()

    def give(self, source: str, digests: Iterable[str]) -> None:
        """Take in what a source gives from now on."""
        with self._lock:
            self._library.give(source, digests)
            self._forget_costs()

    def drop(self, digest: str) -> None:
        """Take a bundle away from everything that gives it."""
        with self._lock:
            self._library.drop(digest)
            self._forget_costs()

    @property
    def settled(self) -> bool:
        """Whether `next` has nothing to do until something happens."""
        with self._lock:
            return self._library.settled

    def next(self, in_flight: InFlight) -> Load | Unload | None:
        """Return what is to be done now, if anything."""
        with self._lock:
            return self._library.next(time.monotonic(), in_flight)

    def loaded(self, network: Network) -> None:
        """Take in the network of a bundle, tried out."""
        digest = network.bundle.digest
        self.networks = {**self.networks, digest: network}  # in one step: workers read it
        with self._lock:
            self._library.loaded(time.monotonic(), digest)

    def failed(self, digest: str) -> None:
        """Take in that a bundle cannot be loaded."""
        with self._lock:
            self._library.failed(digest)
            self._forget_costs()

    def unload(self, digest: str) -> None:
        """Let go of a network."""
        self.networks = {one: held for one, held in self.networks.items() if one != digest}
        with self._lock:
            self._library.unloaded(digest)
            self._forget_costs()

    def _forget_costs(self) -> None:
        """Forget what steps took of bundles that are gone; of the others it holds when back."""
        remembers = self._library.remembers
        self.costs.keep(lambda place: isinstance(place, Place) and remembers(place.digest))


def _unknown(digest: str) -> UnknownBundleError:
    return UnknownBundleError(
        f"bundle {digest[:12]} is not loaded here; ask Describe what is, or have the server load it"
    )

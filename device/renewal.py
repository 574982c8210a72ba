"""Renewal: takes up the bundle that replaces the one that runs, beside the samples.

A thread of its own fetches and loads it; the agent then goes over to it between two samples.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from device.deployment import Deployment, succeed
from device.depot import Depot
from device.fetch import Fetch
from device.obtain import Supplier
from device.settings import AgentSettings
from device.throttle import Throttle
from offramp.address import Address
from offramp.catalogue import Catalogue, FileRequest, Offer
from offramp.errors import AuthenticationError, LinkError, UnknownBundleError
from partitioner.measure import MeasuringStopped

__all__ = ["Renewal", "Taker"]

_AGAIN_S = 5.0
_POLL_S = 0.005


class Taker(Protocol):
    """Who goes over to a new deployment."""

    @property
    def busy(self) -> bool:
        """Whether a sample waits for the server."""

    def on_deployed(self, deployment: Deployment) -> None:
        """Take a bundle that is ready to run."""

    def on_refused(self, offer: Offer, reason: str) -> None:
        """Take that a bundle that was announced cannot be run here, and why."""


class _Closed(Exception):  # noqa: N818
    """The run has ended; what came of a bundle stays in the cache."""


class Renewal:
    """Follows what the server announces for the bundle that runs; use it for one run."""

    def __init__(self, deployment: Deployment, settings: AgentSettings, supplier: Supplier) -> None:
        self._current = deployment
        self._settings, self._supplier = settings, supplier
        self._refused: set[str] = set()
        self._wanted: tuple[Offer, Address] | None = None
        self._changed = threading.Condition()
        self._closing = False
        self._depot: Depot | None = None
        # Not a daemon: a process that ends amid a load is aborted.
        self._thread = threading.Thread(target=self._run, name="renewal", daemon=False)

    def start(self, taker: Taker) -> None:
        """Begin to follow; returns at once."""
        self._taker = taker
        self._thread.start()

    def announced(self, server: Address, catalogue: Catalogue) -> None:
        """Take what the server holds now."""
        bundle = self._current.bundle
        with self._changed:
            offer = catalogue.successor(bundle.digest, bundle.manifest.name)
            self._wanted = (offer, server) if offer else None
            self._changed.notify()

    def close(self, limit_s: float) -> None:
        """End what is being fetched or measured, and wait a while for what is being loaded.

        The process waits for that to its end, if need be.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
            depot = self._depot
        if depot is not None:
            depot.close()
        if self._thread.ident is not None:
            self._thread.join(limit_s)

    def _run(self) -> None:
        while (wanted := self._next()) is not None:
            offer, server = wanted
            try:
                self._take_up(offer, server)
            except (_Closed, MeasuringStopped):
                return
            except (AuthenticationError, LinkError, UnknownBundleError):
                self._pause()  # it may come yet, or another one be announced
            except Exception as error:  # whatever is wrong with a new bundle, the old one runs on
                self._refused.add(offer.digest)
                self._taker.on_refused(offer, str(error) or repr(error))

    def _next(self) -> tuple[Offer, Address] | None:
        """Wait for a bundle that is to be taken up; return None when the run has ended."""
        with self._changed:
            while not self._closing:
                digest = self._wanted[0].digest if self._wanted else None
                if digest not in (None, *self._refused, self._current.bundle.digest):
                    return self._wanted
                self._changed.wait(_AGAIN_S)
        return None

    def _take_up(self, offer: Offer, server: Address) -> None:
        supplier, throttle = self._supplier, Throttle()
        self._depot = depot = Depot(server, supplier.security)

        def read(request: FileRequest) -> Iterator[bytes]:
            self._wait_for_samples(throttle)
            started_s, size_bytes = time.monotonic(), 0
            for data in depot.read(replace(request, max_bytes=throttle.piece_bytes)):
                size_bytes += len(data)
                yield data
            now_s = time.monotonic()
            throttle.came(now_s, size_bytes, now_s - started_s)

        try:
            bundle = Fetch(read, supplier.cache, supplier.engines).bundle(offer)
        finally:
            self._depot = None
            depot.close()
        self._check_open()
        self._current = succeed(self._current, bundle, self._settings, lambda: self._closing)
        supplier.remember(bundle)
        if not self._closing:
            self._taker.on_deployed(self._current)

    def _wait_for_samples(self, throttle: Throttle) -> None:
        while not self._closing:
            if throttle.may_ask(time.monotonic(), busy=self._taker.busy):
                return
            time.sleep(_POLL_S)
        self._check_open()

    def _check_open(self) -> None:
        if self._closing:
            raise _Closed

    def _pause(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing, _AGAIN_S)

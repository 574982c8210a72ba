"""Obtaining a bundle: from a file, from the server, or what came from that server the last time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from device.fetch import Fetch, Progress, open_fetched
from device.security import SecuritySettings
from device.settings import AgentSettings
from offramp import backends
from offramp.address import Address
from offramp.backends import Backend
from offramp.bundle import Bundle, open_bundle
from offramp.bundle.cache import Cache, cache_folder
from offramp.errors import AuthenticationError, BundleError, ConfigError, LinkError

__all__ = ["Obtained", "Supplier", "obtain_bundle"]


@dataclass(frozen=True)
class Supplier:
    """Servers to fetch bundles from, the cache for them, and the backends that may run them.

    ``security`` says how to connect to them.
    """

    addresses: Sequence[Address]
    security: SecuritySettings
    model: str | None
    cache: Cache
    engines: Sequence[Backend]

    @classmethod
    def of(cls, settings: AgentSettings) -> Supplier | None:
        """Return the supplier that the settings name; without a server there is none."""
        if not settings.server:
            return None
        engines = [backends.get(settings.backend)] if settings.backend else backends.installed()
        cache = Cache(cache_folder(), settings.cache_limit_bytes)
        return cls(settings.server, settings.security, settings.model, cache, engines)

    def remember(self, bundle: Bundle) -> None:
        """Note that this bundle came last, for when the server cannot be reached."""
        self.cache.remember(self._key, bundle.digest)

    @property
    def remembers(self) -> bool:
        """Whether a bundle came before."""
        return self.cache.recall(self._key) is not None

    def recall(self) -> Bundle | None:
        """Open the bundle that came last, if one did; raise `BundleError` if it is not whole."""
        digest = self.cache.recall(self._key)
        return None if digest is None else open_fetched(self.cache, digest, self.engines)

    @property
    def _key(self) -> str:
        return f"{','.join(map(str, self.addresses))}/{self.model or ''}"


@dataclass(frozen=True)
class Obtained:
    """A bundle, where it came from, and what that took.

    ``origin`` is ``file``, ``server``, or ``cache`` for one that an earlier run fetched from a
    server that cannot be reached now, as ``reason`` says.
    """

    bundle: Bundle
    origin: str
    fetched_bytes: int = 0
    fetch_s: float = 0.0
    reason: str = ""


def obtain_bundle(
    path: Path | None, settings: AgentSettings, *, require_server: bool, show: bool
) -> Obtained:
    """Return the bundle to run; if ``show``, a bar on stderr tells how far fetching it is.

    Of several servers the first that has it is taken. If none has, or there is but one, the first
    is waited for, at most ``connect_s``; one that refuses to be connected to is not if
    what came from it before can be run instead. Raises `ConfigError` if there is neither a path
    nor a server, and `LinkError` or `AuthenticationError` if the server cannot be reached, or it
    and the device do not trust each other, and nothing came from it before, or nothing may run
    without it.
    """
    if path is not None:
        return Obtained(open_bundle(path), "file")
    supplier = Supplier.of(settings)
    if supplier is None:
        raise ConfigError("there is no bundle to run; name one, or --server to fetch it from")
    patient = require_server or not supplier.remembers
    try:
        obtained = _fetch_from_any(supplier, settings.connect_s, patient=patient, show=show)
    except (LinkError, AuthenticationError) as error:
        earlier = None if require_server else supplier.recall()
        if earlier is None:
            raise
        return Obtained(earlier, "cache", reason=str(error))
    supplier.remember(obtained.bundle)
    return obtained


def _fetch_from_any(supplier: Supplier, connect_s: float, *, patient: bool, show: bool) -> Obtained:
    if len(supplier.addresses) > 1:
        for address in supplier.addresses:
            with contextlib.suppress(LinkError, AuthenticationError, BundleError):
                return _fetch(supplier, address, connect_s, patient=False, show=show)
    return _fetch(supplier, supplier.addresses[0], connect_s, patient=patient, show=show)


def _fetch(
    supplier: Supplier, address: Address, connect_s: float, *, patient: bool, show: bool
) -> Obtained:
    from device.depot import Depot

    depot = Depot(address, supplier.security)
    started_s = time.monotonic()
    try:
        offer = depot.catalogue(connect_s, patient=patient).choose(supplier.model)
        with _bar(offer.name, show=show) as progress:
            fetch = Fetch(depot.read, supplier.cache, supplier.engines, progress)
            bundle = fetch.bundle(offer)
    finally:
        depot.close()
    return Obtained(bundle, "server", fetch.fetched_bytes, time.monotonic() - started_s)


@contextlib.contextmanager
def _bar(name: str, *, show: bool) -> Iterator[Progress]:
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("fetching {task.description}", markup=False),
        progress.BarColumn(bar_width=20),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
    )
    console = Console(stderr=True)
    with progress.Progress(
        *columns, console=console, disable=not show or not console.is_terminal
    ) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done_bytes, of_bytes: bar.update(task, completed=done_bytes, total=of_bytes)

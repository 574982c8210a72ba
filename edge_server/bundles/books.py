"""Books: bundles as a server's library sees them, and what it has done with them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from offramp.bundle import Bundle
from offramp.catalogue import Offer

__all__ = ["Book", "Load", "Stage", "Stock", "Unload"]


class Stage(Enum):
    """Where a bundle is: samples are taken while it is open; leaving, it ends those it has."""

    ABSENT = "absent"
    LOADING = "loading"
    OPEN = "open"
    LEAVING = "leaving"


@dataclass(frozen=True)
class Book:
    """A bundle, what devices are told of it, and the bytes that it takes in memory."""

    bundle: Bundle
    offer: Offer
    size_bytes: int

    @property
    def digest(self) -> str:
        """The bundle's digest."""
        return self.offer.digest


class Load(NamedTuple):
    """A bundle is to be loaded; `Library.loaded` or `Library.failed` is to be called then."""

    book: Book


class Unload(NamedTuple):
    """A bundle without samples in flight is to leave memory; `Library.unloaded` is called then."""

    book: Book


class Stock(NamedTuple):
    """What a library says of a bundle: where it is, who gives it and when it was last used.

    ``offer`` is its book's, as devices are told of it now.
    """

    book: Book
    offer: Offer
    stage: Stage
    sources: tuple[str, ...]
    used_s: float

"""Room: which bundles leave a cache of limited size so that more bytes fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Held", "Room", "make_room"]


@dataclass(frozen=True)
class Held:
    """A bundle in the cache; ``used_s`` is when it was last opened, on any one clock."""

    digest: str
    size_bytes: int
    used_s: float
    in_use: bool = False


@dataclass(frozen=True)
class Room:
    """The digests to evict, in that order, and by how much the limit is exceeded all the same."""

    evicted: tuple[str, ...] = ()
    excess_bytes: int = 0


def make_room(held: Iterable[Held], need_bytes: int, limit_bytes: int) -> Room:
    """Choose what to evict, least recently used first, so that ``need_bytes`` more fit.

    What is in use stays, even if the limit is then exceeded; no more goes than has to.
    """
    bundles = sorted(held, key=lambda bundle: (bundle.used_s, bundle.digest))
    excess_bytes = sum(bundle.size_bytes for bundle in bundles) + need_bytes - limit_bytes
    evicted = []
    for bundle in bundles:
        if excess_bytes <= 0:
            break
        if not bundle.in_use:
            evicted.append(bundle.digest)
            excess_bytes -= bundle.size_bytes
    return Room(tuple(evicted), max(excess_bytes, 0))

"""The library: which bundles a server knows, which of them are in memory, and which one makes room.

A bundle is known while a source gives it, such as a file of a folder. What a source gives anew
retires what it gave before: that serves on until the source changes again. Of several of one name
the one that came last is current, and the others are superseded. What does not fit into memory
leaves it, the least recently used first, and is loaded again when a sample asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from edge_server.bundles.books import Book, Load, Stage, Stock, Unload
from offramp.catalogue import MAX_OFFERS, Catalogue
from offramp.errors import OverloadError, UnknownBundleError

__all__ = ["InFlight", "Library"]

_STAY = 10  # times as long as loading took: what does not fit together mostly serves
_LEAST_STAY_S, _MOST_STAY_S = 1.0, 60.0
_LEAST_WAIT_S = 0.05

InFlight = Callable[[str], int]
"""How many samples of a bundle are in flight."""


@dataclass(eq=False)
class _Copy:
    """A bundle on its way in and out; ``asked_s`` says since when it is asked for.

    One ``on_trial`` is loaded before anything gives it; one that is ``gone`` is not known any more.
    """

    book: Book
    used_s: float
    asked_s: float | None = None
    on_trial: bool = False
    gone: bool = False
    number: int = 0
    stage: Stage = Stage.ABSENT
    began_s: float = 0.0
    load_s: float = 0.0
    stays_s: float = -math.inf

    @property
    def resident(self) -> bool:
        return self.stage is not Stage.ABSENT


class Library:
    """Bundles in at most ``budget_bytes`` of memory; one that takes more has it for itself.

    Of the bundles in memory none leaves that has samples in flight: one that has to is closed, and
    leaves when they are answered. A bundle that came back for a sample stays for a while.
    """

    def __init__(self, budget_bytes: float = math.inf) -> None:
        self._budget_bytes = budget_bytes
        self._copies: dict[str, _Copy] = {}
        self._sources: dict[str, tuple[str, ...]] = {}
        self._retired: dict[str, tuple[str, ...]] = {}
        self._number = 0

    def enter(self, now_s: float, book: Book) -> bool:
        """Have a bundle tried that something will give; tell whether it has to be loaded for that.

        Unless something gives it then, it is to be let go by `abandon`.
        """
        copy = self._copies.get(book.digest)
        if copy is not None:
            if copy.gone:
                self._take_up(copy)
                copy.on_trial = True
            return copy.stage is Stage.LOADING
        if len(self._copies) >= MAX_OFFERS:
            raise OverloadError(
                f"the server knows {len(self._copies)} bundles, the most that devices read of; "
                "unload one first"
            )
        self._copies[book.digest] = _Copy(book, now_s, asked_s=now_s, on_trial=True)
        return True

    def abandon(self) -> None:
        """Let go of what was entered and nothing gives."""
        for copy in self._copies.values():
            copy.on_trial = False
        self._dismiss()

    def give(self, source: str, digests: Iterable[str]) -> None:
        """Take in what a source gives from now on, all of it known or entered; maybe nothing.

        Raises `UnknownBundleError` if some of it was let go meanwhile; then nothing has changed.
        """
        now = tuple(dict.fromkeys(digests))
        for digest in now:
            if digest not in self._copies:
                raise UnknownBundleError(
                    f"bundle {digest[:12]} was let go while others were loaded; load it again"
                )
        given = set(self._given())
        before = self._sources.pop(source, ())
        if now:
            self._sources[source] = now
        if now == before:
            return
        self._number += 1
        for digest in now:
            self._take_up(self._copies[digest])
            if digest not in given:
                self._copies[digest].number = self._number
        self._retired.pop(source, None)
        if now:
            self._retired[source] = tuple(digest for digest in before if digest not in now)
        self._dismiss()

    def drop(self, digest: str) -> None:
        """Take a bundle away from everything that gives it."""
        for held in (self._sources, self._retired):
            for source, digests in list(held.items()):
                held[source] = tuple(one for one in digests if one != digest)
        self._dismiss()

    def use(self, now_s: float, digest: str) -> float | None:
        """Note that a sample asks for a bundle; return after how long it may be tried again.

        That is 0 if the sample may come in, and None if the bundle is not known.
        """
        if self.book(digest) is None:
            return None
        copy = self._copies[digest]
        copy.used_s = now_s
        if copy.stage is Stage.OPEN:
            return 0.0
        if copy.asked_s is None and copy.stage is not Stage.LOADING:
            copy.asked_s = now_s
        return max(self._wait_s(now_s, copy), _LEAST_WAIT_S)

    def next(self, now_s: float, in_flight: InFlight) -> Load | Unload | None:
        """Return what is to be done now, if anything; one bundle is loaded at a time."""
        if (leaving := self._idle(in_flight)) or any(self._at(Stage.LOADING)):
            return leaving
        asked = [one for one in self._at(Stage.ABSENT) if one.asked_s is not None]
        if not asked:
            return None
        first = min(asked, key=lambda one: one.asked_s or 0.0)
        if not self._fits(first):
            self._make_room(now_s, first, in_flight)
            return self._idle(in_flight)
        first.stage, first.began_s, first.asked_s = Stage.LOADING, now_s, None
        return Load(first.book)

    def loaded(self, now_s: float, digest: str) -> None:
        """Take in that a bundle is in memory, tried out."""
        copy = self._copies[digest]
        copy.stage = Stage.LEAVING if copy.gone else Stage.OPEN
        copy.load_s, copy.asked_s = now_s - copy.began_s, None
        if not copy.on_trial:
            stay_s = min(max(_STAY * copy.load_s, _LEAST_STAY_S), _MOST_STAY_S)
            copy.stays_s = now_s + stay_s

    def failed(self, digest: str) -> None:
        """Take in that a bundle cannot be loaded: it is not known any more."""
        self.drop(digest)
        self._copies.pop(digest, None)

    def unloaded(self, digest: str) -> None:
        """Take in that a bundle is not in memory any more."""
        copy = self._copies[digest]
        copy.stage = Stage.ABSENT
        if copy.gone:
            del self._copies[digest]

    @property
    def settled(self) -> bool:
        """Whether `next` has nothing to do until something happens that it is told of."""
        return not any(
            one.asked_s is not None or one.stage is Stage.LEAVING for one in self._copies.values()
        )

    def remembers(self, digest: str) -> bool:
        """Tell whether a bundle is known, or was and has not left memory yet."""
        return digest in self._copies

    def book(self, digest: str) -> Book | None:
        """Return a bundle that something gives, or gave until lately."""
        copy = self._copies.get(digest)
        return None if copy is None or copy.gone or copy.on_trial else copy.book

    def catalogue(self) -> Catalogue:
        """Return what is known, in the form that devices read."""
        return Catalogue(tuple(stock.offer for stock in self.stock()))

    def stock(self) -> Sequence[Stock]:
        """Return what is known, in the order in which it came."""
        given, newest = set(self._given()), self._newest()

        def look(copy: _Copy) -> Stock:
            book, offer = copy.book, copy.book.offer
            superseded = book.digest not in given or copy.number < newest[offer.name]
            sources = (one for one, held in self._sources.items() if book.digest in held)
            shown = replace(offer, superseded=superseded)
            return Stock(book, shown, copy.stage, tuple(sources), copy.used_s)

        return [look(copy) for digest, copy in self._copies.items() if self.book(digest)]

    def _newest(self) -> dict[str, int]:
        """Return the number of what was given last under each name."""
        newest: dict[str, int] = {}
        for digest in self._given():
            copy = self._copies[digest]
            name = copy.book.offer.name
            newest[name] = max(newest.get(name, 0), copy.number)
        return newest

    def _given(self) -> Iterator[str]:
        for digests in self._sources.values():
            yield from digests

    def _take_up(self, copy: _Copy) -> None:
        if copy.gone and copy.stage is Stage.LEAVING:
            copy.stage = Stage.OPEN
        copy.on_trial = copy.gone = False

    def _dismiss(self) -> None:
        """Let go of what nothing gives any more."""
        kept = set(self._given()).union(*self._retired.values())
        for digest, copy in list(self._copies.items()):
            if digest in kept or copy.on_trial:
                continue
            copy.gone, copy.asked_s = True, None
            if copy.stage is Stage.OPEN:
                copy.stage = Stage.LEAVING
            elif copy.stage is Stage.ABSENT:
                del self._copies[digest]

    def _at(self, stage: Stage) -> Iterator[_Copy]:
        return (one for one in self._copies.values() if one.stage is stage)

    def _idle(self, in_flight: InFlight) -> Unload | None:
        """Return a closed bundle that has nothing in flight; closed first, looked at then."""
        idle = (one for one in self._at(Stage.LEAVING) if not in_flight(one.book.digest))
        return next((Unload(one.book) for one in idle), None)

    def _fits(self, copy: _Copy) -> bool:
        others = [one.book.size_bytes for one in self._copies.values() if one.resident]
        return not others or sum(others) + copy.book.size_bytes <= self._budget_bytes

    def _make_room(self, now_s: float, copy: _Copy, in_flight: InFlight) -> None:
        """Close what has to leave for a bundle to fit: if some of it has to stay, nothing."""
        open_ = list(self._at(Stage.OPEN))
        resident = sum(one.book.size_bytes for one in open_)
        excess = resident + copy.book.size_bytes - self._budget_bytes
        closing: list[_Copy] = []
        for one in sorted(open_, key=lambda one: (in_flight(one.book.digest) > 0, one.used_s)):
            if excess > 0 and one.stays_s <= now_s:
                closing.append(one)
                excess -= one.book.size_bytes
        if excess <= 0 or len(closing) == len(open_):
            for one in closing:
                one.stage = Stage.LEAVING

    def _wait_s(self, now_s: float, copy: _Copy) -> float:
        """Return in how long a bundle may be open again, by how long loading took the last time."""
        if copy.stage is Stage.LOADING:
            return copy.began_s + copy.load_s - now_s
        stays_s = [one.stays_s for one in self._at(Stage.OPEN)]
        room_s = 0.0 if self._fits(copy) or not stays_s else max(min(stays_s) - now_s, 0.0)
        return room_s + copy.load_s

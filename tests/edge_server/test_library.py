"""The library under virtual time: what is known, what is in memory, and what leaves for what."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_server.bundles.books import Book, Load, Stage
from edge_server.bundles.library import Library
from offramp.bundle import Bundle
from offramp.catalogue import MAX_OFFERS, Offer
from offramp.errors import OverloadError, UnknownBundleError


def book(digest: str, size_bytes: int = 10, name: str | None = None) -> Book:
    bundle = Bundle(cast(Any, None), digest, Path())
    return Book(bundle, Offer(digest, name or digest), size_bytes)


class Shelf:
    """Carries out at once what a library says, and writes it down."""

    def __init__(self, budget_bytes: float = math.inf) -> None:
        self.library = Library(budget_bytes)
        self.in_flight: Counter[str] = Counter()
        self.log: list[str] = []
        self.loading: str | None = None
        self.resident: dict[str, int] = {}

    def begin(self, now_s: float) -> None:
        """Carry out all that there is to do but the end of a load."""
        while step := self.library.next(now_s, self.in_flight.__getitem__):
            digest = step.book.digest
            self.log.append(f"{now_s:g} {type(step).__name__.lower()} {digest}")
            if isinstance(step, Load):
                assert self.loading is None
                self.loading, self.resident[digest] = digest, step.book.size_bytes
            else:
                assert not self.in_flight[digest]
                del self.resident[digest]
                self.library.unloaded(digest)

    def end(self, now_s: float) -> None:
        """End the load that was begun, if one was."""
        if self.loading is not None:
            self.library.loaded(now_s, self.loading)
            self.loading = None

    def do(self, now_s: float) -> None:
        self.begin(now_s)
        while self.loading is not None:
            self.end(now_s)
            self.begin(now_s)

    def give(self, now_s: float, source: str, *books: Book) -> None:
        for one in books:
            self.library.enter(now_s, one)
        self.do(now_s)
        self.library.give(source, [one.digest for one in books])
        self.do(now_s)

    def use(self, now_s: float, digest: str) -> float | None:
        wait_s = self.library.use(now_s, digest)
        self.begin(now_s)
        return wait_s

    @property
    def superseded(self) -> dict[str, bool]:
        return {offer.digest: offer.superseded for offer in self.library.catalogue().offers}


def test_one_generation_of_what_a_source_gives_is_kept() -> None:
    shelf = Shelf()
    one, two, three = book("one"), book("two"), book("three")
    shelf.give(0, "arguments", one)
    assert shelf.superseded == {"one": False}
    shelf.give(1, "arguments", two)
    assert shelf.superseded == {"one": True, "two": False}
    shelf.give(2, "arguments", three, two)
    assert shelf.superseded == {"two": False, "three": False}
    shelf.give(3, "arguments", one)
    assert shelf.superseded == {"two": True, "three": True, "one": False}
    assert shelf.log == [
        "0 load one",
        "1 load two",
        "2 load three",
        "2 unload one",
        "3 load one",
    ]


def test_of_one_name_the_last_that_came_is_current_and_the_one_before_it_once_that_goes() -> None:
    shelf = Shelf()
    shelf.give(0, "old file", book("old", name="model"))
    shelf.give(1, "new file", book("new", name="model"), book("other"))
    assert shelf.superseded == {"old": True, "new": False, "other": False}
    shelf.give(2, "old file", book("old", name="model"))  # looked at again: nothing new
    assert shelf.superseded == {"old": True, "new": False, "other": False}
    shelf.give(3, "new file")
    assert shelf.superseded == {"old": False}
    assert shelf.log[-2:] == ["3 unload new", "3 unload other"]


def test_what_goes_is_unknown_at_once_and_leaves_with_its_last_sample() -> None:
    shelf = Shelf()
    shelf.give(0, "file", book("a"))
    assert shelf.use(1, "a") == 0
    shelf.in_flight["a"] = 1
    shelf.library.drop("a")
    shelf.begin(2)
    assert (shelf.use(2, "a"), shelf.superseded) == (None, {})
    assert not shelf.library.settled
    shelf.in_flight["a"] = 0
    shelf.begin(3)
    assert shelf.log == ["0 load a", "3 unload a"]
    assert shelf.library.settled


def test_what_comes_back_before_it_has_left_stays() -> None:
    shelf = Shelf()
    shelf.give(0, "file", book("a"))
    shelf.in_flight["a"] = 1
    shelf.library.drop("a")
    assert shelf.library.enter(1, book("a")) is False  # it need not be loaded
    shelf.library.give("file", ["a"])
    shelf.in_flight["a"] = 0
    shelf.do(2)
    assert (shelf.use(2, "a"), shelf.log) == (0, ["0 load a"])


def test_the_least_recently_used_leaves_and_comes_back_when_it_is_asked_for() -> None:
    shelf = Shelf(budget_bytes=20)
    shelf.give(0, "arguments", book("a"), book("b"))
    shelf.use(1, "b")
    shelf.use(2, "a")
    shelf.give(3, "file", book("c"))
    assert shelf.use(4, "b") == pytest.approx(0.05)  # loading took no time at all
    shelf.end(4.5)
    assert shelf.use(5, "b") == 0
    # b came back for a sample, so it stays ten times as long as loading took: until 9.5
    assert shelf.use(5.5, "a") == pytest.approx(0.05)
    shelf.end(6)
    shelf.do(6)
    assert shelf.use(7, "c") == pytest.approx(2.5)
    shelf.begin(9.4)
    shelf.do(9.5)
    assert shelf.log == [
        "0 load a",
        "0 load b",
        "3 unload b",
        "3 load c",
        "4 unload a",
        "4 load b",
        "5.5 unload c",
        "5.5 load a",
        "9.5 unload b",
        "9.5 load c",
    ]


def test_one_with_samples_in_flight_takes_no_more_and_leaves_when_they_are_answered() -> None:
    shelf = Shelf(budget_bytes=20)
    shelf.give(0, "arguments", book("a"), book("b"))
    shelf.use(1, "a")
    shelf.use(2, "b")
    shelf.in_flight.update("ab")
    shelf.library.enter(3, book("c"))
    shelf.begin(3)
    assert shelf.use(4, "b") == 0
    assert (shelf.use(4, "a") or 0) > 0
    shelf.in_flight["a"] = 0
    shelf.begin(5)
    shelf.end(6)
    shelf.library.give("file", ["c"])
    assert shelf.log == ["0 load a", "0 load b", "5 unload a", "5 load c"]


def test_one_that_is_idle_leaves_before_one_with_samples_in_flight() -> None:
    shelf = Shelf(budget_bytes=20)
    shelf.give(0, "arguments", book("a"), book("b"))
    shelf.use(1, "a")
    shelf.use(2, "b")
    shelf.in_flight["a"] = 1
    shelf.give(3, "file", book("c"))
    assert shelf.log[2:] == ["3 unload b", "3 load c"]


def test_one_that_is_larger_than_all_memory_has_it_for_itself() -> None:
    shelf = Shelf(budget_bytes=20)
    shelf.give(0, "arguments", book("a"), book("b"))
    shelf.give(1, "file", book("large", 30))
    assert list(shelf.resident) == ["large"]
    assert shelf.use(2, "large") == 0
    shelf.use(3, "a")
    assert list(shelf.resident) == ["a"]


def test_what_cannot_be_loaded_is_not_known_and_nothing_else_has_changed() -> None:
    shelf = Shelf()
    shelf.give(0, "file", book("a"))
    shelf.library.enter(1, book("b"))
    shelf.begin(1)
    shelf.library.failed("b")
    assert shelf.superseded == {"a": False}
    assert shelf.use(2, "b") is None


def test_what_was_tried_and_nothing_gives_leaves() -> None:
    shelf = Shelf()
    shelf.library.enter(0, book("a"))
    shelf.library.enter(0, book("b"))
    shelf.begin(0)
    shelf.end(1)
    shelf.library.abandon()
    shelf.begin(1)
    assert shelf.log == ["0 load a", "1 unload a"]


def test_no_more_bundles_are_known_than_devices_read_of() -> None:
    library = Library()
    for number in range(MAX_OFFERS):
        library.enter(0, book(f"{number}"))
    with pytest.raises(OverloadError, match="knows 1024 bundles, the most that devices read of"):
        library.enter(0, book("one more"))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["give", "drop", "use", "answer", "end", "wait", "use", "answer"]),
        st.sampled_from("abcde"),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.sampled_from([5, 20, 25, 40, math.inf]))
def test_memory_is_kept_within_its_budget_and_samples_end_where_they_began(
    steps: list[tuple[str, str]], budget_bytes: float
) -> None:
    shelf = Shelf(budget_bytes)
    sizes = {"a": 10, "b": 10, "c": 5, "d": 20, "e": 30}
    now_s = 0.0
    for step, digest in steps:
        now_s += 1
        if step == "give":
            shelf.library.enter(now_s, book(digest, sizes[digest], "ab" if digest in "ab" else "c"))
            shelf.library.give(digest, [digest])
        elif step == "drop":
            shelf.library.drop(digest)
        elif step == "use" and shelf.library.use(now_s, digest) == 0:
            assert digest in shelf.resident
            shelf.in_flight[digest] += 1
        elif step == "answer" and shelf.in_flight[digest]:
            shelf.in_flight[digest] -= 1
        elif step == "end":
            shelf.end(now_s)
        elif step == "wait":
            now_s += 1000
        shelf.begin(now_s)  # which sees to it that nothing leaves with samples in flight
        assert sum(shelf.resident.values()) <= budget_bytes or len(shelf.resident) == 1
        assert all(shelf.in_flight[one] == 0 or one in shelf.resident for one in "abcde")
    shelf.in_flight.clear()
    shelf.end(now_s)
    for stock in shelf.library.stock():  # once all is answered, each that is asked for comes
        rounds = 0
        while shelf.library.use(now_s, stock.book.digest) != 0:
            now_s += 61
            shelf.do(now_s)
            rounds += 1
            assert rounds <= len(sizes)
    assert {one.stage for one in shelf.library.stock()} <= {Stage.OPEN, Stage.ABSENT}


def test_what_was_let_go_while_others_were_loaded_changes_nothing() -> None:
    """A source that gives `a` anew beside `b`, while `a` is taken away from it by hand."""
    shelf = Shelf()
    shelf.library.enter(0.0, book("a"))
    shelf.do(0.0)
    shelf.library.give("arguments", ["a"])
    assert not shelf.library.enter(1.0, book("a"))
    shelf.library.enter(1.0, book("b"))
    shelf.library.drop("a")
    shelf.do(1.0)
    with pytest.raises(UnknownBundleError, match="bundle a was let go while others were loaded"):
        shelf.library.give("arguments", ["a", "b"])
    shelf.library.abandon()
    shelf.do(2.0)
    assert shelf.library.catalogue().offers == ()
    shelf.library.enter(3.0, book("b"))
    shelf.do(3.0)
    shelf.library.give("arguments", ["b"])
    assert [offer.digest for offer in shelf.library.catalogue().offers] == ["b"]

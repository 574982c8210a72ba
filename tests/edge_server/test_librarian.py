"""The librarian on an event loop, with bundles that load when they are told to."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from edge_server.bundles import librarian
from edge_server.bundles.books import Book, Stage
from edge_server.bundles.holdings import Holdings
from edge_server.bundles.intake import Intake
from edge_server.bundles.librarian import Librarian
from edge_server.bundles.loading import Loader
from edge_server.passage import Place
from edge_server.scheduling.step_costs import Step
from offramp.bundle import Bundle
from offramp.catalogue import Offer
from offramp.errors import AbsentBundleError, BundleError, UnknownBundleError
from offramp.network import Network


class Cyclic:
    """Stands for a network; it refers to itself, as those of torch do."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.itself = bundle, self


class Shelves:
    """Stands for a `Loader`: a path's name is the digest of its bundle."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Semaphore(0)
        self.loaded: list[weakref.ref[Cyclic]] = []

    def read(self, path: Path) -> Book:
        if path.name == "unreadable":
            raise BundleError("unreadable: not a whole bundle")
        return Book(Bundle(cast(Any, None), path.name, path), Offer(path.name, path.name), 10)

    def load(self, book: Book) -> Network:
        self.begun.release()
        assert self.gate.wait(10)
        if book.digest in self.broken:
            raise BundleError(f"{book.digest} does not\nrun")
        network = Cyclic(book.bundle)
        self.loaded.append(weakref.ref(network))
        return cast(Network, network)


class Scene:
    """A librarian at work, and what it announced."""

    def __init__(self, budget_bytes: float) -> None:
        self.shelves, self.in_flight = Shelves(), Counter[str]()
        self.holdings = Holdings(budget_bytes)
        self.announced: list[list[str]] = []
        self.librarian = Librarian(
            self.holdings, cast(Loader, self.shelves), self.in_flight.__getitem__, self._announce
        )

    async def take_in(self, source: str, *names: str) -> None:
        await self.librarian.take_in(source, [Path(name) for name in names])

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.005)

    @property
    def known(self) -> list[str]:
        return [offer.digest for offer in self.holdings.catalogue().offers]

    def _announce(self) -> None:
        self.announced.append(self.known)


Play = Callable[..., None]


@pytest.fixture
def play() -> Play:
    def run(story: Callable[[Scene], Awaitable[None]], budget_bytes: float = 100) -> None:
        async def stage() -> None:
            told = Scene(budget_bytes)
            task = asyncio.create_task(told.librarian.run())
            try:
                await story(told)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        asyncio.run(stage())

    return run


def test_what_is_taken_in_is_announced_once_it_has_been_tried_out(play: Play) -> None:
    async def story(stage: Scene) -> None:
        stage.shelves.gate.clear()
        taking = asyncio.create_task(stage.take_in("file", "a", "b"))
        await asyncio.to_thread(stage.shelves.begun.acquire)
        assert (stage.known, stage.announced) == ([], [])
        with pytest.raises(UnknownBundleError):
            stage.holdings.lend("a")
        stage.shelves.gate.set()
        await taking
        assert stage.announced == [["a", "b"]]
        await stage.take_in("file", "b", "a", "b")
        await stage.take_in("another file", "a")
        assert stage.announced == [["a", "b"]]
        stage.librarian.let_go("file")
        assert stage.announced == [["a", "b"], ["a"]]
        await stage.until(lambda: list(stage.holdings.networks) == ["a"])

    play(story)


@pytest.mark.parametrize("bad", ["unreadable", "broken"])
def test_if_one_of_several_cannot_be_taken_in_nothing_changes(play: Play, bad: str) -> None:
    async def story(stage: Scene) -> None:
        stage.shelves.broken.add("broken")
        await stage.take_in("file", "a")
        with pytest.raises(BundleError, match=bad):
            await stage.take_in("file", "b", bad)
        assert (stage.known, stage.announced) == (["a"], [["a"]])
        await stage.until(lambda: list(stage.holdings.networks) == ["a"])
        await stage.take_in("file", "b")
        assert stage.known == ["a", "b"]

    play(story)


def test_one_that_is_not_waited_for_any_more_leaves_again(play: Play) -> None:
    async def story(stage: Scene) -> None:
        stage.shelves.gate.clear()
        taking = asyncio.create_task(stage.take_in("file", "a"))
        await asyncio.to_thread(stage.shelves.begun.acquire)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        stage.shelves.gate.set()
        await stage.take_in("file", "b")
        await stage.until(lambda: list(stage.holdings.networks) == ["b"])
        assert stage.announced == [["b"]]

    play(story)


def test_a_sample_has_its_bundle_loaded_again(play: Play) -> None:
    async def story(stage: Scene) -> None:
        await stage.take_in("file", "a", "b")
        assert list(stage.holdings.networks) == ["b"]
        with pytest.raises(AbsentBundleError, match="bundle a is not in memory") as told:
            stage.holdings.lend("a")
        assert told.value.retry_after_s > 0
        await stage.until(lambda: list(stage.holdings.networks) == ["a"])
        assert stage.holdings.lend("a").bundle.digest == "a"
        assert stage.announced == [["a", "b"]]

    play(story, budget_bytes=10)


def test_one_that_cannot_be_loaded_again_is_unknown_and_the_log_says_why(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(stage: Scene) -> None:
        await stage.take_in("file", "a", "b")
        stage.shelves.broken.add("a")
        with pytest.raises(AbsentBundleError):
            stage.holdings.lend("a")
        await stage.until(lambda: stage.announced == [["a", "b"], ["b"]])
        with pytest.raises(UnknownBundleError):
            stage.holdings.lend("a")
        assert (stage.librarian.take_lost(), stage.librarian.take_lost()) == ({"file"}, set())

    play(story, budget_bytes=10)
    (error,) = (r.getMessage() for r in caplog.records if r.levelno == logging.ERROR)
    assert error == "bundle a cannot be loaded again: a does not run"


def test_what_is_unloaded_stays_for_the_samples_that_it_has(play: Play) -> None:
    async def story(stage: Scene) -> None:
        await stage.take_in("file", "a")
        await stage.take_in("folder", "a")
        stage.in_flight["a"] = 1
        stage.librarian.unload("a")
        with pytest.raises(UnknownBundleError):
            stage.holdings.lend("a")
        assert stage.holdings.network("a").bundle.digest == "a"  # for one that came before
        stage.in_flight["a"] = 0
        await stage.until(lambda: not stage.holdings.networks)
        with pytest.raises(UnknownBundleError):
            stage.holdings.network("a")
        await stage.take_in("file", "a")
        assert [one.stage for one in stage.holdings.stock()] == [Stage.OPEN]

    play(story)


def test_what_steps_took_is_known_for_as_long_as_their_bundle_is(play: Play) -> None:
    async def story(stage: Scene) -> None:
        costs = stage.holdings.costs
        places = {name: Place(name, 0, narrow=False) for name in "ab"}
        await stage.take_in("file", "a")
        costs.observe(Step(places["a"], 1, 0.1, None, 0))
        await stage.take_in("folder", "b")
        costs.observe(Step(places["b"], 1, 0.1, None, 0))
        assert list(stage.holdings.networks) == ["b"]
        assert all(map(costs.knows, places.values()))
        stage.librarian.let_go("file")  # not in memory
        assert not costs.knows(places["a"])
        stage.librarian.let_go("folder")
        await stage.until(lambda: not costs.knows(places["b"]))

    play(story, budget_bytes=10)


def test_after_an_error_the_librarian_goes_on(
    play: Play, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(librarian, "_REST_S", 0.01)

    async def story(stage: Scene) -> None:
        unload = stage.holdings.unload
        broken = iter([True])

        def unload_later(digest: str) -> None:
            if next(broken, False):
                raise RuntimeError("out of luck")
            unload(digest)

        monkeypatch.setattr(stage.holdings, "unload", unload_later)
        await stage.take_in("file", "a")
        stage.librarian.let_go("file")
        await stage.until(lambda: not stage.holdings.networks)

    play(story)
    assert "bundles could not be loaded or unloaded; trying again" in caplog.text


def test_nothing_is_left_of_what_was_unloaded(play: Play) -> None:
    async def story(stage: Scene) -> None:
        await stage.take_in("file", "a")
        stage.librarian.unload("a")
        await stage.until(lambda: [one() for one in stage.shelves.loaded] == [None])

    gc.disable()  # else it may happen by itself
    try:
        play(story)
    finally:
        gc.enable()


def test_the_files_of_one_that_could_not_be_loaded_again_are_opened_again(
    play: Play, tmp_path: Path
) -> None:
    for name in ("b.offramp", "c.offramp"):
        (tmp_path / name).touch()

    async def story(stage: Scene) -> None:
        intake = Intake(stage.librarian, [Path("a")], tmp_path)
        await stage.take_in("arguments", "a")
        await intake.begin()
        looking = asyncio.create_task(intake.run())
        for digest in ("a", "b.offramp"):
            stage.shelves.broken.add(digest)
            with pytest.raises(AbsentBundleError):
                stage.holdings.lend(digest)
            await stage.until(lambda digest=digest: digest not in stage.known)
            stage.shelves.broken.clear()
            await stage.until(lambda: sorted(stage.known) == ["a", "b.offramp", "c.offramp"])
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)

    play(story, budget_bytes=10)

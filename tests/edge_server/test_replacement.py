"""Replacement: another bundle takes a file's place while devices are served."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_server.engine import Engine
from offramp.catalogue import Catalogue
from offramp.network import Network

Play = Callable[..., None]


def names(catalogue: Catalogue) -> dict[str, bool]:
    return {offer.digest: offer.superseded for offer in catalogue.offers}


def test_a_new_file_is_announced_and_what_is_in_flight_ends_under_the_old_one(
    play: Play,
    gated_engine: Engine,
    gated: Any,
    sample: Any,
    sample_of: Any,
    other_network: Network,
    bundle_file: Path,
    tmp_path: Path,
) -> None:
    path = tmp_path / "served.offramp"
    shutil.copy(bundle_file, path)
    old, new = gated.bundle.digest, other_network.bundle.digest

    async def story(served: Any) -> None:
        stream = served.stream()
        await stream.send(sample.request(number=1), sample.request(number=2))
        await served.busy(queued=1)  # one runs, one waits
        shutil.copy(bundle_file.with_name("other.offramp"), tmp_path / "new")
        (tmp_path / "new").rename(path)
        served.server.reload_asked.set()
        while served.server.pool.engine.networks.keys() != {old, new}:
            await asyncio.sleep(0.01)
        await stream.send(sample.request(number=3))
        await stream.send(sample_of(other_network).request(number=4))
        gated.gate.set()
        answers = {answer.id: answer for answer in [await stream.receive() for _ in range(4)]}
        for number in (1, 2, 3):
            sample.check(answers[number])
        sample_of(other_network).check(answers[4])
        assert [names(c) for c in stream.catalogues] == [{old: False}, {old: True, new: False}]

    play(gated_engine, story, bundles=(path,))


@pytest.mark.parametrize("content", [b"damaged", None])
def test_a_file_that_cannot_be_loaded_changes_nothing(
    play: Play,
    network: Network,
    sample: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    content: bytes | None,
) -> None:
    path = tmp_path / "served.offramp"
    if content is not None:
        path.write_bytes(content)

    async def story(served: Any) -> None:
        served.server.reload_asked.set()
        while not caplog.records[-1].getMessage().startswith("the bundles stay as they are"):
            await asyncio.sleep(0.01)
        sample.check(await served.infer(sample.request()))

    caplog.set_level(logging.INFO)
    play(Engine([network], 1 << 20), story, bundles=(path,))
    (error,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert str(path) in error.getMessage()
    assert "\n" not in error.getMessage()


def test_the_same_file_again_supersedes_nothing(
    play: Play, network: Network, bundle_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine([network], 1 << 20)
    before = engine.catalogue()

    async def story(served: Any) -> None:
        served.server.reload_asked.set()
        while caplog.records[-1].getMessage() != "the bundles have not changed":
            await asyncio.sleep(0.01)
        assert engine.catalogue() == before

    caplog.set_level(logging.INFO)
    play(engine, story, bundles=(bundle_file,))

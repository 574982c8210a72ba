"""A folder that a server follows, while devices send without a pause."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offramp.network import Network
from tests.edge_server.server_process import Device, serving

pytestmark = pytest.mark.e2e


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "bundles"
    path.mkdir()
    return path


@pytest.fixture
def put(folder: Path, bundle_file: Path) -> Callable[[str, str], None]:
    """Put a bundle's file into the folder as a whole, under another name if need be."""

    def copy(bundle: str, name: str) -> None:
        partial = folder / f"{name}.partial"
        shutil.copy(bundle_file.with_name(f"{bundle}.offramp"), partial)
        partial.rename(folder / f"{name}.offramp")

    return copy


def test_what_appears_changes_and_vanishes_is_served_replaced_and_unloaded(
    tmp_path: Path,
    folder: Path,
    put: Any,
    network: Network,
    other_network: Network,
    sample_of: Any,
) -> None:
    tiny, other = network.bundle.digest, other_network.bundle.digest
    first, second = Device(sample_of(network)), Device(sample_of(other_network))

    async def story() -> None:
        with serving(tmp_path, "--watch", folder) as server:
            assert await server.held() == {}
            put("tiny", "model")
            await server.until_it_holds({tiny: False})
            async with first.sending(server), second.sending(server):
                await first.until_it_has("OK")
                put("other", "model")
                await server.until_it_holds({tiny: True, other: False})
                await first.until_it_has("OK")
                await second.until_it_has("OK")
                assert first.outcomes.keys() == {"OK"}
                assert second.outcomes.keys() == {"OK", "NOT_FOUND"}  # before it was there
                (folder / "model.offramp").unlink()
                await server.until_it_holds({})
                await first.until_it_has("NOT_FOUND")
                assert first.outcomes.keys() == {"OK", "NOT_FOUND"}

    asyncio.run(story())


def test_a_file_that_is_no_whole_bundle_is_named_and_taken_in_once_it_is_one(
    tmp_path: Path, folder: Path, put: Any, network: Network, bundle_file: Path, sample_of: Any
) -> None:
    data = bundle_file.read_bytes()

    async def story() -> None:
        put("tiny", "good")
        late = folder / "late.offramp"
        late.write_bytes(bundle_file.with_name("other.offramp").read_bytes()[:-100])
        with serving(tmp_path, "--watch", folder) as server:
            assert await server.held() == {network.bundle.digest: False}
            async with Device(sample_of(network)).sending(server) as device:
                await server.until_it_logs(f"{late} is not served: {late}: not a whole bundle")
                (folder / "good.offramp").write_bytes(data[: len(data) // 2])  # and so is this one
                await server.until_it_logs("good.offramp is not served")
                shutil.copy(bundle_file.with_name("other.offramp"), late)
                await server.until_it_logs("serving 'other'")
                assert len(await server.held()) == 2
                await device.until_it_has("OK")
            assert device.outcomes.keys() == {"OK"}
        assert server.log.count(f"{late} is not served") == 1

    asyncio.run(story())


def test_a_folder_that_vanishes_changes_nothing_and_is_followed_again_once_it_is_back(
    tmp_path: Path, folder: Path, put: Any, network: Network, other_network: Network, sample_of: Any
) -> None:
    tiny, other = network.bundle.digest, other_network.bundle.digest

    async def story() -> None:
        put("tiny", "model")
        with serving(tmp_path, "--watch", folder) as server:
            async with Device(sample_of(network)).sending(server) as device:
                folder.rename(tmp_path / "elsewhere")
                await server.until_it_logs("cannot be read; what came from it is served on")
                await device.until_it_has("OK")
                (tmp_path / "elsewhere").rename(folder)
                await server.until_it_logs(f"{folder} is there again")
                put("other", "another")
                await server.until_it_holds({tiny: False, other: False})
                await device.until_it_has("OK")
            assert device.outcomes.keys() == {"OK"}

    asyncio.run(story())


def test_the_folder_of_a_bundle_that_vanishes_takes_nothing_with_it(
    tmp_path: Path, network: Network, sample_of: Any
) -> None:
    unpacked = tmp_path / "unpacked"
    shutil.copytree(network.bundle.folder, unpacked)

    async def story() -> None:
        with serving(tmp_path, unpacked) as server:
            async with Device(sample_of(network)).sending(server) as device:
                await device.until_it_has("OK")
                shutil.rmtree(unpacked)
                server.process.send_signal(1)
                await server.until_it_logs("the bundles stay as they are")
                await device.until_it_has("OK")
            assert device.outcomes.keys() == {"OK"}

    asyncio.run(story())

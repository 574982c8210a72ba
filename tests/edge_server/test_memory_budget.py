"""Three bundles, memory for two of them, and a device for each that sends without a pause."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge_server.bundles.loading import Loader
from offramp.network import Network
from tests.edge_server.server_process import Device, serving

pytestmark = pytest.mark.e2e


def test_bundles_that_do_not_fit_together_take_turns(
    tmp_path: Path,
    bundle_file: Path,
    network: Network,
    other_network: Network,
    write_tiny: Any,
    sample_of: Any,
) -> None:
    third = Network(write_tiny(bundle_file.with_name("third.offramp"), "third", seed=3))
    paths = [bundle_file.with_name(f"{name}.offramp") for name in ("tiny", "other", "third")]
    sizes = [Loader().read(path).size_bytes for path in paths]
    settings = tmp_path / "server.yaml"
    settings.write_text(f"memory_bytes: {sum(sizes) - 1}\n")
    devices = [Device(sample_of(one)) for one in (network, other_network, third)]

    async def story() -> None:
        with serving(tmp_path, *paths, "--settings", settings) as server:
            assert len(await server.held()) == 3
            one, two, three = devices
            async with one.sending(server), two.sending(server), three.sending(server):
                for device in (*devices, *devices):
                    await device.until_it_has("OK")
            for device in devices:
                assert device.outcomes.keys() <= {"OK", "RESOURCE_EXHAUSTED"}
                assert all(0.05 <= wait_s < 5 for wait_s in device.waits_s)
            assert sum(device.outcomes["RESOURCE_EXHAUSTED"] for device in devices) > 0
            assert server.log.count("has left memory") >= 3

    asyncio.run(story())

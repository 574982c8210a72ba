"""``offramp bundles`` against a server in a process of its own, while devices send to it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge_server.security.tokens import new_token, token_hash
from offramp.network import Network
from tests.edge_server.server_process import Device, ServerProcess, serving

pytestmark = pytest.mark.e2e


class Operator:
    """Gives the commands of ``offramp bundles``, with a token."""

    def __init__(self, folder: Path) -> None:
        self.token = new_token()
        self._file = folder / "token"
        self._file.write_text(self.token)
        self.clients = folder / "clients.yaml"
        entry = f"tokens: [{{sha256: {token_hash(self.token)}}}], may_administer: true"
        self.clients.write_text(f"clients:\n  operator: {{{entry}}}\n")

    async def __call__(self, server: ServerProcess, *words: str, token: bool = True) -> Result:
        from device.bundles_command import bundles

        shown = ["--token-file", str(self._file)] if token else []
        arguments = [*words, "--server", server.address, *shown]
        return await asyncio.to_thread(CliRunner().invoke, bundles, arguments)


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


@pytest.fixture
def folder(tmp_path: Path, bundle_file: Path) -> Path:
    path = tmp_path / "bundles"
    path.mkdir()
    for name in ("tiny", "other"):
        shutil.copy(bundle_file.with_name(f"{name}.offramp"), path)
    return path


def test_bundles_come_and_go_while_devices_send_and_no_sample_is_lost_or_wrong(
    tmp_path: Path,
    folder: Path,
    operator: Operator,
    network: Network,
    other_network: Network,
    sample_of: Any,
) -> None:
    tiny, other = network.bundle.digest, other_network.bundle.digest
    first, second = Device(sample_of(network)), Device(sample_of(other_network))
    options = ("--admin-folder", folder, "--clients", operator.clients)

    async def story() -> None:
        with serving(tmp_path, *options, token=operator.token) as server:
            assert "has no bundles" in (await operator(server, "list")).output
            loaded = await operator(server, "load", "tiny.offramp")
            assert loaded.output == f"serving 'tiny', bundle {tiny}\n"
            async with first.sending(server), second.sending(server):
                await second.until_it_has("NOT_FOUND")
                for _ in range(3):
                    assert (await operator(server, "load", "other.offramp")).exit_code == 0
                    await second.until_it_has("OK")
                    listed = (await operator(server, "list")).output
                    assert all(word in listed for word in ("tiny", "other", tiny[:12], "open"))
                    gone = await operator(server, "unload", other[:6].upper())
                    assert gone.output == f"no longer serving 'other', bundle {other}\n"
                    await second.until_it_has("NOT_FOUND")
                await first.until_it_has("OK")
            assert first.outcomes.keys() == {"OK"}
            assert second.outcomes.keys() == {"OK", "NOT_FOUND"}

    asyncio.run(story())


def test_what_goes_wrong_is_told_in_words(
    tmp_path: Path, folder: Path, operator: Operator, network: Network
) -> None:
    options = (folder / "tiny.offramp", "--admin-folder", folder, "--clients", operator.clients)

    async def story() -> None:
        with serving(tmp_path, *options, token=operator.token) as server:
            for words, said in (
                (("unload", ""), "give its first digits"),
                (("unload", "ffff"), "has no bundle 'ffff'; offramp bundles list shows"),
                (("load", "missing.offramp"), "missing.offramp"),
                (("load", "/etc/passwd"), "is in no folder that bundles may be loaded from"),
            ):
                result = await operator(server, *words)
                assert result.exit_code != 0
                assert said in str(result.exception), words
            nobody = await operator(server, "list", token=False)
            assert "the token is missing" in str(nobody.exception)
            assert len(await server.held()) == 1
            address = server
        gone = await operator(address, "list", "--timeout", "0.5")
        assert "does not answer" in str(gone.exception)

    asyncio.run(story())

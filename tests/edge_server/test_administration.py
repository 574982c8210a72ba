"""The administration: who may do what, from where bundles may come, and what becomes of them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from edge_server.bundles.administration import Administration
from edge_server.engine import Engine
from edge_server.security.clients import Client
from edge_server.security.tokens import token_hash
from offramp.bundle import Bundle
from offramp.errors import BundleError, ConfigError, InputError, RightsError
from offramp.network import Network
from protos.offramp.v1 import admin_pb2 as pb
from protos.offramp.v1 import admin_pb2_grpc

Play = Callable[..., None]
OPERATOR = Client("operator", may_administer=True)


@pytest.fixture
def folder(tmp_path: Path, bundle_file: Path, other_bundle: Bundle) -> Path:
    """A folder that bundles may be loaded from, with one in it, and links that lead out of it."""
    path = tmp_path / "allowed"
    path.mkdir()
    shutil.copy(bundle_file.with_name("other.offramp"), path)
    shutil.copy(bundle_file.with_name("other.offramp"), tmp_path / "outside.offramp")
    (path / "link.offramp").symlink_to(tmp_path / "outside.offramp")
    (path / "inner.offramp").symlink_to(path / "other.offramp")
    (path / "circle").symlink_to("circle")
    (path / "broken.offramp").write_bytes(b"no bundle")
    return path


@pytest.fixture
def told(play: Play, folder: Path, network: Network) -> Callable[..., None]:
    """Run a story with the administration of a server that has one bundle."""

    def run(story: Callable[[Administration, Any], Any]) -> None:
        async def stage(served: Any) -> None:
            server = served.server
            administration = Administration(server.librarian, server.pool.in_flight, [folder])
            await story(administration, served)

        play(Engine([network], 1 << 20), stage)

    return run


def test_what_is_loaded_is_served_and_loading_it_again_changes_nothing(
    told: Any, folder: Path, network: Network, other_network: Network, sample_of: Any
) -> None:
    digest = other_network.bundle.digest

    async def story(administration: Administration, served: Any) -> None:
        for path in ("other.offramp", str(folder / "other.offramp"), "inner.offramp"):
            held = await administration.load(OPERATOR, path)
            assert (held.offer.digest, held.stage) == (digest, "open")
            assert held.sources == (str(folder / "other.offramp"),)
            assert held.size_bytes > 0
        sample_of(other_network).check(await served.infer(sample_of(other_network).request()))
        listed = {one.offer.digest: one.sources for one in administration.list(OPERATOR)}
        assert listed == {network.bundle.digest: ("arguments",), digest: held.sources}

    told(story)


def test_what_is_unloaded_is_unknown_wherever_it_came_from_and_may_come_back(
    told: Any, network: Network, sample: Any
) -> None:
    digest = network.bundle.digest

    async def story(administration: Administration, served: Any) -> None:
        assert administration.unload(OPERATOR, digest) is True
        assert administration.unload(OPERATOR, digest) is False
        assert (await served.refusal(sample.request())).code().name == "NOT_FOUND"
        served.server.reload_asked.set()  # opens the server's arguments again
        async with asyncio.timeout(10):
            while not administration.list(OPERATOR):
                await asyncio.sleep(0.01)
        sample.check(await served.infer(sample.request()))

    told(story)


@pytest.mark.parametrize(
    ("path", "error", "said"),
    [
        ("../outside.offramp", RightsError, "is in no folder that bundles may be loaded from"),
        ("link.offramp", RightsError, "is in no folder"),
        ("/etc/passwd", RightsError, "is in no folder"),
        ("/nowhere/at/all", RightsError, "is in no folder"),
        ("missing.offramp", ConfigError, "missing.offramp"),
        ("broken.offramp", BundleError, "not a whole bundle"),
        (".", BundleError, "is no bundle"),
        ("", InputError, "names no file"),
        ("other.offramp\0", InputError, "names no file"),
        ("x" * 300, InputError, "names no file"),
        ("circle/x.offramp", InputError, "names no file"),
    ],
)
def test_nothing_is_loaded_from_elsewhere_and_nothing_broken(
    told: Any, path: str, error: type[Exception], said: str
) -> None:
    async def story(administration: Administration, served: Any) -> None:
        with pytest.raises(error, match=said):
            await administration.load(OPERATOR, path)
        assert len(administration.list(OPERATOR)) == 1

    told(story)


def test_others_may_not_do_any_of_it(told: Any, network: Network) -> None:
    stranger = Client("stranger")

    async def story(administration: Administration, served: Any) -> None:
        with pytest.raises(RightsError, match="'stranger' may not administer"):
            administration.list(stranger)
        with pytest.raises(RightsError):
            await administration.load(stranger, "other.offramp")
        with pytest.raises(RightsError):
            administration.unload(stranger, network.bundle.digest)
        assert len(administration.list(OPERATOR)) == 1

    told(story)


CLIENTS = f"""
clients:
  operator: {{tokens: [{{sha256: {token_hash("o" * 43)}}}], may_administer: true}}
  board: {{tokens: [{{sha256: {token_hash("b" * 43)}}}]}}
"""


def bearer(token: str) -> tuple[tuple[str, str]]:
    return (("authorization", f"Bearer {token * 43}"),)


def test_over_the_wire_a_token_says_who_may(
    play: Play, network: Network, folder: Path, tmp_path: Path
) -> None:
    clients = tmp_path / "clients.yaml"
    clients.write_text(CLIENTS)

    async def story(served: Any) -> None:
        stub: Any = admin_pb2_grpc.AdminStub(served.channel)  # type: ignore[no-untyped-call]

        async def status(method: Any, request: Any, token: str) -> str:
            try:
                await method(request, timeout=10, metadata=bearer(token))
            except grpc.aio.AioRpcError as error:
                return str(error.code().name)
            return "OK"

        calls = (
            (stub.List, pb.ListBundlesRequest()),
            (stub.Load, pb.LoadBundleRequest(path="other.offramp")),
            (stub.Unload, pb.UnloadBundleRequest(bundle_digest=bytes(32))),
        )
        for method, request in calls:
            assert await status(method, request, "o") == "OK"
            assert await status(method, request, "b") == "PERMISSION_DENIED"
            assert await status(method, request, "x") == "UNAUTHENTICATED"
        for request in (pb.UnloadBundleRequest(), pb.UnloadBundleRequest(bundle_digest=b"x")):
            assert await status(stub.Unload, request, "o") == "INVALID_ARGUMENT"
        outside = pb.LoadBundleRequest(path="../outside.offramp")
        assert await status(stub.Load, outside, "o") == "PERMISSION_DENIED"

    play(Engine([network], 1 << 20), story, clients=clients, admin_folder=folder)


def test_without_a_file_of_clients_nobody_may(play: Play, network: Network) -> None:
    async def story(served: Any) -> None:
        stub: Any = admin_pb2_grpc.AdminStub(served.channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.List(pb.ListBundlesRequest(), timeout=10)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert "set may_administer for it in the file of clients" in str(caught.value.details())

    play(Engine([network], 1 << 20), story)

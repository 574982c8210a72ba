"""Who may use a server: encryption, certificates, tokens and rights, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from edge_server.engine import Engine
from edge_server.security.access import Access
from edge_server.security.tokens import token_hash
from edge_server.settings import ServerSettings
from offramp.catalogue import Catalogue
from offramp.errors import ConfigError
from offramp.messages import Answer, Request
from protos.offramp.v1 import edge_pb2_grpc
from protos.offramp.v1 import inference_pb2 as pb
from tests.edge_server.conftest import DeviceStream, Play, Served
from tests.edge_server.pki import Pki

Code = grpc.StatusCode
ClientsWriter = Callable[..., Path]


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    made = Pki.make(tmp_path_factory.mktemp("pki"))
    made.client("board-1")
    return made


@pytest.fixture
def write_clients(tmp_path: Path) -> ClientsWriter:
    def write(**clients: str) -> Path:
        """Write who has which token, such as board_1="secret, models: [tiny]"."""
        path = tmp_path / "clients.yaml"
        lines = ["clients:"]
        for name, said in clients.items():
            token, _, rights = said.partition(", ")
            tokens = f"[{{sha256: {token_hash(token)}}}]" if token else "[]"
            lines.append(f"  {name}: {{tokens: {tokens}{', ' if rights else ''}{rights}}}")
        path.write_text("\n".join(lines))
        return path

    return write


@contextlib.asynccontextmanager
async def calling(
    served: Served, credentials: grpc.ChannelCredentials | None = None, **options: Any
) -> AsyncIterator[Any]:
    """A stub on a connection of its own."""
    if credentials is None:
        channel = grpc.aio.insecure_channel(served.address, **options)
    else:
        channel = grpc.aio.secure_channel(served.address, credentials, **options)
    async with channel:
        yield edge_pb2_grpc.EdgeStub(channel)  # type: ignore[no-untyped-call]


def bearer(token: str) -> Sequence[tuple[str, str]]:
    return (("authorization", f"Bearer {token}"),)


async def describe(stub: Any, token: str | None = None) -> list[str]:
    metadata = bearer(token) if token else ()
    described = await stub.Describe(pb.DescribeRequest(), timeout=10, metadata=metadata)
    return [offer.name for offer in Catalogue.from_proto(described).offers]


async def refusal(stub: Any, token: str | None = None) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await describe(stub, token)
    return caught.value.code(), caught.value.details() or ""


# -- encryption


def test_an_encrypted_server_answers_who_trusts_its_authority(
    play: Play, engine: Engine, sample: Any, pki: Pki
) -> None:
    async def story(served: Served) -> None:
        async with calling(served, pki.credentials()) as stub:
            reply = await stub.Infer(sample.request(1).to_proto(), timeout=10)
            sample.check(Answer.from_proto(reply))

    play(engine, story, **pki.settings())


def test_a_server_of_another_authority_is_not_talked_to(
    play: Play, engine: Engine, pki: Pki, tmp_path: Path
) -> None:
    strange = Pki.make(tmp_path / "strange")

    async def story(served: Served) -> None:
        async with calling(served, strange.credentials()) as stub:
            code, details = await refusal(stub)
        assert code is Code.UNAVAILABLE
        assert "CERTIFICATE_VERIFY_FAILED" in details

    play(engine, story, **pki.settings())


@pytest.mark.parametrize(
    ("begins_days", "said"), [(-60, "certificate has expired"), (9, "certificate is not yet valid")]
)
def test_a_certificate_is_good_from_its_first_day_to_its_last(
    play: Play, engine: Engine, tmp_path: Path, begins_days: float, said: str
) -> None:
    """The second one is what a device sees whose clock is days behind."""
    pki = Pki.make(tmp_path / "pki")
    pki.server("odd", begins_days)

    async def story(served: Served) -> None:
        async with calling(served, pki.credentials()) as stub:
            code, details = await refusal(stub)
        assert code is Code.UNAVAILABLE
        assert said in details

    play(engine, story, **pki.settings(name="odd"))


def test_a_certificate_is_replaced_while_the_server_runs(
    play: Play, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_server.server._SAMPLE_S", 0.02)
    pki = Pki.make(tmp_path / "pki")
    pki.server("next", begins_days=-60)

    async def story(served: Served) -> None:
        async with calling(served, pki.credentials()) as stub:
            await describe(stub)
        for part in ("", "-key"):
            os.replace(pki.path(f"next{part}"), pki.path(f"server{part}"))
        async with asyncio.timeout(10):
            expired = False
            while not expired:
                try:
                    async with calling(served, pki.credentials()) as stub:
                        await describe(stub)
                except grpc.aio.AioRpcError as error:
                    expired = "certificate has expired" in (error.details() or "")

    play(engine, story, **pki.settings())


def test_a_wrong_certificate_does_not_replace_the_right_one(
    pki: Pki, tmp_path: Path, bundle_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = Pki.make(tmp_path / "copy")
    access = Access(ServerSettings(bundles=(bundle_file,), **copy.settings()))
    copy.path("server").write_text("half a certif")
    access.refresh()
    access.refresh()
    (said,) = (line.message for line in caplog.records if line.levelno == logging.ERROR)
    assert "the certificate stays as it is" in said


def test_a_new_certificate_is_also_that_of_a_front_that_is_set_up_again(
    pki: Pki, bundle_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC is given the certificate of the moment, not that with which the server started."""
    access = Access(ServerSettings(bundles=(bundle_file,), **pki.settings()))
    certificates, given = access.certificates, list[Any]()
    assert certificates is not None
    monkeypatch.setattr(
        grpc, "dynamic_ssl_server_credentials", lambda now, take, required: given.append(now)
    )
    certificates.credentials()
    certificates.credentials()
    pki.path("server").write_bytes(pki.path("server").read_bytes() + b"\n")
    access.refresh()
    certificates.credentials()
    before, again, after = given
    assert before is again
    assert after is not before
    assert certificates._take() is after
    assert certificates._take() is None


# -- mutual TLS


def test_mutual_tls_names_the_client_and_refuses_who_shows_no_certificate(
    play: Play, engine: Engine, pki: Pki, write_clients: ClientsWriter
) -> None:
    clients = write_clients(**{"board-1": ", models: [tiny]"})
    pki.client("board-2")

    async def story(served: Served) -> None:
        async with calling(served, pki.credentials("board-1")) as stub:
            assert await describe(stub) == ["tiny"]
        async with calling(served, pki.credentials("board-2")) as stub:
            code, details = await refusal(stub)
            assert code is Code.UNAUTHENTICATED
            assert "'board-2', which is no client here" in details
        async with calling(served, pki.credentials()) as stub:
            assert (await refusal(stub))[0] is Code.UNAVAILABLE

    play(engine, story, **pki.settings(mutual=True), clients=clients)


def test_a_client_whose_certificate_has_expired_or_is_of_another_authority_is_refused(
    play: Play, engine: Engine, tmp_path: Path
) -> None:
    pki, strange = Pki.make(tmp_path / "pki"), Pki.make(tmp_path / "strange")
    pki.client("late", begins_days=-60)
    strange.client("board-1")
    foreign = strange.path("board-1-key").read_bytes(), strange.path("board-1").read_bytes()
    mixed = grpc.ssl_channel_credentials(pki.path("authority").read_bytes(), *foreign)

    async def story(served: Served) -> None:
        for credentials in (pki.credentials("late"), mixed):
            async with calling(served, credentials) as stub:
                assert (await refusal(stub))[0] is Code.UNAVAILABLE

    play(engine, story, **pki.settings(mutual=True))


def test_a_clients_certificate_cannot_stand_for_a_server(
    play: Play, engine: Engine, pki: Pki
) -> None:
    async def story(served: Served) -> None:
        options = [("grpc.ssl_target_name_override", "board-1")]
        async with calling(served, pki.credentials(), options=options) as stub:
            code, details = await refusal(stub)
        assert code is Code.UNAVAILABLE
        assert "CERTIFICATE_VERIFY_FAILED" in details

    play(engine, story, **pki.settings(name="board-1"))


# -- tokens and rights


def test_a_call_without_a_token_or_with_a_wrong_one_is_unauthenticated(
    play: Play, engine: Engine, sample: Any, write_clients: ClientsWriter
) -> None:
    clients = write_clients(board="right")

    async def story(served: Served) -> None:
        assert (await refusal(served.stub))[0] is Code.UNAUTHENTICATED
        assert (await refusal(served.stub, "wrong"))[0] is Code.UNAUTHENTICATED
        assert await describe(served.stub, "right") == ["tiny", "other"]
        missing = await served.refusal(sample.request(1))
        assert missing.code() is Code.UNAUTHENTICATED
        assert "the token is missing" in (missing.details() or "")
        assert await served.stream().ended() is Code.UNAUTHENTICATED
        wanted = pb.ReadFileRequest(bundle_digest=bytes.fromhex(sample.digest))
        reading = served.stub.ReadFile(wanted, timeout=10)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await reading.read()
        assert caught.value.code() is Code.UNAUTHENTICATED

    play(engine, story, clients=clients)


def test_health_is_open_and_reflection_is_not_there(
    play: Play, engine: Engine, write_clients: ClientsWriter
) -> None:
    clients = write_clients(board="right")

    async def story(served: Served) -> None:
        health = health_pb2_grpc.HealthStub(served.channel)
        reply = await health.Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
        reflect = served.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await reflect(timeout=10).read()
        assert caught.value.code() is Code.UNIMPLEMENTED

    play(engine, story, clients=clients)


def test_a_client_sees_and_uses_the_models_that_it_may_and_no_other(
    play: Play, engine: Engine, sample: Any, other_network: Any, sample_of: Any,
    write_clients: ClientsWriter,
) -> None:  # fmt: skip
    clients = write_clients(board="right, models: [tiny]")
    other = sample_of(other_network)

    async def story(served: Served) -> None:
        assert await describe(served.stub, "right") == ["tiny"]
        stream = DeviceStream(served.stub.Stream(timeout=20, metadata=bearer("right")))
        await stream.send(other.request(0, 1))
        answer = await stream.receive()
        assert answer.failure is not None
        assert answer.failure.status == "PERMISSION_DENIED"
        assert "may not use model 'other'" in answer.failure.message
        await stream.send(sample.request(0, 2))
        sample.check(await stream.receive())
        assert [offer.name for offer in stream.catalogues[0].offers] == ["tiny"]

        async def failed(call: Any) -> grpc.StatusCode:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            code: grpc.StatusCode = caught.value.code()
            return code

        infer = served.stub.Infer(other.request(0).to_proto(), metadata=bearer("right"))
        assert await failed(infer) is Code.PERMISSION_DENIED
        wanted = pb.ReadFileRequest(bundle_digest=bytes.fromhex(other.digest))
        reading = served.stub.ReadFile(wanted, metadata=bearer("right"))
        assert await failed(reading.read()) is Code.PERMISSION_DENIED
        unknown = Request(1, "0" * 64, 0, (b"",))
        infer = served.stub.Infer(unknown.to_proto(), metadata=bearer("right"))
        assert await failed(infer) is Code.NOT_FOUND

    play(engine, story, clients=clients)


def test_a_token_is_rotated_without_a_restart_and_a_stolen_one_ends_its_streams(
    play: Play, engine: Engine, sample: Any, write_clients: ClientsWriter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("edge_server.server._SAMPLE_S", 0.02)
    clients = write_clients(board="stolen", neighbour="other")

    async def story(served: Served) -> None:
        thief, neighbour = (
            DeviceStream(served.stub.Stream(timeout=20, metadata=bearer(token)))
            for token in ("stolen", "other")
        )
        for stream in (thief, neighbour):
            await stream.send(sample.request(0, 1))
            sample.check(await stream.receive())
        write_clients(board="fresh", neighbour="other")
        assert await thief.ended() is Code.UNAUTHENTICATED
        assert await describe(served.stub, "fresh")
        assert (await refusal(served.stub, "stolen"))[0] is Code.UNAUTHENTICATED
        await neighbour.send(sample.request(0, 2))
        sample.check(await neighbour.receive())
        write_clients(board="fresh", neighbour="other, models: [tiny]")
        assert await neighbour.ended() is Code.UNAVAILABLE  # it comes again with what it may do

    play(engine, story, clients=clients)


def test_a_bad_file_of_clients_changes_nothing_and_is_logged(
    bundle_file: Path, write_clients: ClientsWriter, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_clients(board="right")
    access = Access(ServerSettings(bundles=(bundle_file,), clients=path))
    before = access.identity.roster
    path.write_text("clients: {board: {tokns: []}}")
    access.refresh()
    assert access.identity.roster is before
    assert "the clients stay as they are" in caplog.text
    assert "unknown key 'clients.board.tokns'" in caplog.text
    write_clients(board="fresh")
    access.refresh()
    assert access.identity.roster is not before
    path.unlink()
    held = access.identity.roster
    access.refresh()
    assert access.identity.roster is held


# -- settings


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"listen": "0.0.0.0:1"}, "listen: 0.0.0.0:1 is not this machine alone"),
        ({"listen": "[::]:1"}, "is not this machine alone"),
        ({"listen": "edge.local:1"}, "is not this machine alone"),
        ({"certificate": "a.pem"}, "key is missing"),
        ({"key": "a.pem"}, "certificate is missing"),
        ({"client_authority": "a.pem"}, "client_authority needs a certificate"),
        ({"certificate": "a", "key": "b", "insecure": True}, "insecure contradicts"),
    ],
)
def test_settings_that_would_be_unsafe_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("[", r"\[")):
        ServerSettings(bundles=("a",), **values)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0", "localhost:0", "127.8.8.8:0"])
def test_loopback_needs_no_certificate(listen: str) -> None:
    assert not ServerSettings(bundles=("a",), listen=listen).insecure


def test_insecure_is_said_in_the_log_and_so_is_a_server_for_every_one(
    pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    Access(ServerSettings(bundles=("a",), listen="0.0.0.0:1", insecure=True))
    assert "insecure: whoever is on the way to 0.0.0.0:1 can read" in caplog.text
    assert "whoever reaches 0.0.0.0:1 may use this server" in caplog.text
    caplog.clear()
    Access(ServerSettings(bundles=("a",), listen="0.0.0.0:1", **pki.settings(mutual=True)))
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("certificate", "are no certificate and its key in PEM"),
        ("key", "are no certificate and its key in PEM"),
        ("client_authority", "holds no certificate of an authority in PEM"),
    ],
)
def test_files_that_are_wrong_are_refused_at_the_start(
    pki: Pki, tmp_path: Path, field: str, said: str
) -> None:
    wrong = tmp_path / "wrong.pem"
    for text in ("", "nonsense", "\N{SNOWMAN}"):
        wrong.write_text(text)
        given = {**pki.settings(mutual=True), field: wrong}
        with pytest.raises(ConfigError, match=said):
            Access(ServerSettings(bundles=("a",), **given))
    given = {**pki.settings(mutual=True), field: tmp_path / "absent.pem"}
    with pytest.raises(ConfigError, match="cannot be read"):
        Access(ServerSettings(bundles=("a",), **given))


def test_a_key_of_another_certificate_is_refused(pki: Pki, tmp_path: Path) -> None:
    strange = Pki.make(tmp_path / "strange")
    given = {**pki.settings(), "key": strange.path("server-key")}
    with pytest.raises(ConfigError, match="KEY_VALUES_MISMATCH"):
        Access(ServerSettings(bundles=("a",), **given))


def test_a_key_that_others_can_read_is_warned_of(
    pki: Pki, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = Pki.make(tmp_path / "copy")
    copy.path("server-key").chmod(0o644)
    Access(ServerSettings(bundles=("a",), **copy.settings()))
    assert "can be read by other users" in caplog.text

"""What one client may take of a server, and how long it may let it wait."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from edge_server.engine import Engine
from edge_server.security.tokens import token_hash
from edge_server.seeing.log_limit import LogLimit
from protos.offramp.v1 import edge_pb2_grpc
from protos.offramp.v1 import inference_pb2 as pb
from tests.edge_server.conftest import DeviceStream, Play, Served
from tests.edge_server.pki import Pki

Code = grpc.StatusCode
SMALL_WINDOW = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024)]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.fixture
def clients(tmp_path: Path) -> Path:
    path = tmp_path / "clients.yaml"
    path.write_text(
        "clients:\n"
        f"  greedy: {{tokens: [{{sha256: {token_hash('greedy')}}}]}}\n"
        f"  modest: {{tokens: [{{sha256: {token_hash('modest')}}}]}}\n"
    )
    return path


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls are looked at more often than once a second."""
    monkeypatch.setattr("edge_server.server._SAMPLE_S", 0.02)


def stream_of(stub: Any, token: str) -> DeviceStream:
    return DeviceStream(stub.Stream(timeout=30, metadata=(("authorization", f"Bearer {token}"),)))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


# -- how many


def test_a_client_that_opens_1000_streams_gets_its_share_and_others_are_served(
    play: Play, engine: Engine, sample: Any, clients: Path
) -> None:
    async def opened(stream: DeviceStream) -> bool:
        message = await asyncio.wait_for(stream.call.read(), 25)
        return message is not grpc.aio.EOF

    async def tried(stream: DeviceStream) -> str:
        try:
            return "open" if await opened(stream) else "ended"
        except grpc.aio.AioRpcError as error:
            return error.code().name

    async def story(served: Served) -> None:
        greedy = [stream_of(served.stub, "greedy") for _ in range(1000)]
        fates = await asyncio.gather(*map(tried, greedy))
        assert {fate: fates.count(fate) for fate in set(fates)} == {
            "open": 20,
            "RESOURCE_EXHAUSTED": 980,
        }
        modest = stream_of(served.stub, "modest")
        await modest.send(sample.request(0))
        sample.check(await modest.receive())
        for stream in greedy:
            stream.call.cancel()
        await until(lambda: served.server.streams == 1)
        again = stream_of(served.stub, "greedy")  # its places are free again
        await again.send(sample.request(0))
        sample.check(await again.receive())

    limits = {"max_client_calls": 20, "max_streams": 30, "max_calls": 2000}
    play(engine, story, clients=clients, **limits)


def test_clients_without_a_name_share_the_places_of_their_host(play: Play, engine: Engine) -> None:
    async def story(served: Served) -> None:
        streams = []
        for _ in range(2):
            streams.append(served.stream())
            await streams[-1].probe(1)
        assert await served.stream().ended() is Code.RESOURCE_EXHAUSTED

    play(engine, story, max_client_calls=2)


def test_health_watches_count_for_their_host_and_not_for_a_client(
    play: Play, engine: Engine, sample: Any, clients: Path
) -> None:
    async def story(served: Served) -> None:
        health = health_pb2_grpc.HealthStub(served.channel)
        watches = []
        for _ in range(2):
            watches.append(health.Watch(health_pb2.HealthCheckRequest(), timeout=20))
            assert (await watches[-1].read()).status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health.Watch(health_pb2.HealthCheckRequest(), timeout=20).read()
        assert caught.value.code() is Code.RESOURCE_EXHAUSTED
        stream = stream_of(served.stub, "modest")
        await stream.send(sample.request(0))
        sample.check(await stream.receive())

    play(engine, story, clients=clients, max_client_calls=2)


def test_a_connection_too_many_is_closed_and_its_place_is_free_when_one_goes(
    play: Play, engine: Engine
) -> None:
    async def story(served: Served) -> None:
        with contextlib.ExitStack() as stack:
            taken = [stack.enter_context(connected(served.address)) for _ in range(3)]
            greeted = [await asyncio.to_thread(greets, each) for each in taken]
            assert greeted == [True, True, False]
            taken[0].close()
            async with asyncio.timeout(10):
                free = False
                while not free:
                    with connected(served.address) as another:
                        free = await asyncio.to_thread(greets, another)

    play(engine, story, max_connections=2)


# -- how long


def test_a_stream_that_opens_and_says_nothing_ends_and_one_that_has_spoken_may_be_silent(
    play: Play, engine: Engine, sample: Any
) -> None:
    async def story(served: Served) -> None:
        spoken, silent = served.stream(), served.stream()
        await spoken.probe(1)
        assert await silent.ended() is Code.DEADLINE_EXCEEDED
        assert "nothing came for 0.2 s" in await silent.call.details()
        await spoken.send(sample.request(0, 2))  # after a silence longer than that
        sample.check(await spoken.receive())

    play(engine, story, first_message_s=0.2)


@pytest.mark.parametrize("method", ["Infer", "Describe", "ReadFile"])
def test_a_call_whose_message_does_not_come_ends(play: Play, engine: Engine, method: str) -> None:
    async def story(served: Served) -> None:
        call = served.channel.stream_stream(f"/offramp.v1.Edge/{method}")(timeout=20)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() is Code.DEADLINE_EXCEEDED

    play(engine, story, first_message_s=0.1)


def test_a_call_without_a_message_is_wrong(play: Play, engine: Engine) -> None:
    async def story(served: Served) -> None:
        call = served.channel.stream_stream("/offramp.v1.Edge/Infer")(timeout=20)
        await call.done_writing()
        assert await call.code() is Code.INVALID_ARGUMENT

    play(engine, story)


def test_a_client_that_never_reads_its_answers_loses_its_stream_and_nobody_else_does(
    play: Play, engine: Engine, sample: Any
) -> None:
    """What gRPC cannot take back of that call goes on its own account until it is gone."""

    async def story(served: Served) -> None:
        good = served.stream()
        await good.probe(1)
        async with grpc.aio.insecure_channel(served.address, SMALL_WINDOW) as channel:
            stub: Any = edge_pb2_grpc.EdgeStub(channel)  # type: ignore[no-untyped-call]
            call = stub.Stream(timeout=30)
            sending = asyncio.create_task(send_for_ever(call, sample))
            await until(lambda: served.server.streams == 2)
            await until(lambda: served.server.streams == 1)
            await good.send(sample.request(0, 2))
            sample.check(await good.receive())
            assert (await served.refusal(sample.request())).code() is Code.RESOURCE_EXHAUSTED
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        assert await answered_soon(served, sample)

    play(engine, story, stalled_s=0.3, max_client_calls=2)


def test_a_fetch_that_is_not_read_ends(play: Play, engine: Engine, sample: Any) -> None:
    wanted = pb.ReadFileRequest(bundle_digest=bytes.fromhex(sample.digest), path="big")

    async def story(served: Served) -> None:
        refused: list[str] = []
        served.server.watch(Refusals(refused))
        async with grpc.aio.insecure_channel(served.address, SMALL_WINDOW) as channel:
            stub: Any = edge_pb2_grpc.EdgeStub(channel)  # type: ignore[no-untyped-call]
            call = stub.ReadFile(wanted, timeout=30)
            await until(lambda: bool(refused))
            call.cancel()
        assert refused == ["DEADLINE_EXCEEDED"]

    def endless(*_: object) -> Iterator[bytes]:
        while True:
            yield bytes(32 << 10)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge_server.service.read_span", endless)
        play(engine, story, stalled_s=0.3)


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_connection_that_does_not_get_on_is_closed(
    play: Play, engine: Engine, tmp_path: Path, encrypted: bool
) -> None:
    files = Pki.make(tmp_path / "pki").settings() if encrypted else {}

    async def story(served: Served) -> None:
        with connected(served.address) as silent:
            await asyncio.to_thread(drained, silent)

    play(engine, story, handshake_s=0.3, **files)


def test_a_connection_without_a_call_is_closed_after_a_while(play: Play, engine: Engine) -> None:
    async def story(served: Served) -> None:
        with connected(served.address) as idle:
            idle.sendall(PREFACE + frame(4))
            await asyncio.to_thread(drained, idle)

    play(engine, story, idle_connection_s=0.3)


def test_a_health_watch_that_is_never_read_does_not_hold_up_the_end(
    play: Play, engine: Engine
) -> None:
    """With a window of 0 bytes, not even the first answer can be written."""

    with contextlib.ExitStack() as stack:

        async def story(served: Served) -> None:
            hostile = stack.enter_context(connected(served.address))
            hostile.sendall(PREFACE + frame(4, settings(4, 0)) + watch_health())
            await asyncio.sleep(0.1)
            async with asyncio.timeout(5):
                await served.server.stop()

        play(engine, story, grace_s=1)


# -- how large


def test_headers_that_are_too_long_are_refused(play: Play, engine: Engine) -> None:
    async def story(served: Served) -> None:
        async def described(size: int) -> None:
            header = (("x", "v" * size),)
            await served.stub.Describe(pb.DescribeRequest(), timeout=10, metadata=header)

        await described(7000)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await described(8500)
        assert caught.value.code() is Code.RESOURCE_EXHAUSTED
        await described(7000)

    play(engine, story)


def test_a_compressed_message_counts_with_its_full_length(play: Play, engine: Engine) -> None:
    bomb = pb.InferRequest(id=1, frames=[bytes(64 << 20)])

    async def story(served: Served) -> None:
        compression = grpc.Compression.Gzip
        async with grpc.aio.insecure_channel(served.address, compression=compression) as channel:
            stub: Any = edge_pb2_grpc.EdgeStub(channel)  # type: ignore[no-untyped-call]
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Infer(bomb, timeout=20)
        assert caught.value.code() is Code.RESOURCE_EXHAUSTED
        assert "larger than max" in (caught.value.details() or "")

    play(engine, story)


# -- what is told of it


def test_what_strangers_can_have_logged_is_limited() -> None:
    limit = LogLimit(1.0)
    assert [limit.lets(now_s) for now_s in (0.0, 0.1, 0.9, 1.0, 1.5)] == [
        True, False, False, True, False,
    ]  # fmt: skip
    assert (limit.take_hidden(), limit.take_hidden()) == (3, 0)


def test_calls_that_are_refused_are_told_and_logged_once_a_second(
    play: Play, engine: Engine, clients: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refused: list[str] = []

    async def story(served: Served) -> None:
        served.server.watch(Refusals(refused))
        for _ in range(5):
            with pytest.raises(grpc.aio.AioRpcError):
                await served.stub.Describe(pb.DescribeRequest(), timeout=10)

    play(engine, story, clients=clients)
    assert refused == ["UNAUTHENTICATED"] * 5
    lines = [line.message for line in caplog.records if line.name == "edge_server.security.gate"]
    assert len(lines) < 5
    assert "the token is missing" in lines[0]


class Refusals:
    """Writes down the statuses of what is turned away."""

    def __init__(self, into: list[str]) -> None:
        self._into = into

    def answered(self, asked: Any, answer: Any, sent_bytes: int) -> None:
        pass

    def turned_away(self, failure: Any) -> None:
        self._into.append(failure.status)


async def answered_soon(served: Served, sample: Any) -> bool:
    """Wait until a call is let in."""
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                sample.check(await served.infer(sample.request()))
                return True


async def send_for_ever(call: Any, sample: Any) -> None:
    number = 0
    while True:
        request = sample.request(0, number).to_proto()
        await call.write(pb.StreamRequest(infer=request))
        number += 1


# -- HTTP/2 by hand, for what gRPC's own clients do not do


def connected(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(number: int, value: int) -> bytes:
    return struct.pack(">HI", number, value)


def watch_health() -> bytes:
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/grpc.health.v1.Health/Watch",
        ":authority": "edge",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    block = b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in headers.items()
    )
    message = struct.pack(">BI", 0, 0)  # not compressed, empty
    return frame(1, block, 0x4, 1) + frame(0, message, 0x1, 1)


def greets(peer: socket.socket) -> bool:
    """Whether a server takes the connection: it sends its settings then."""
    try:
        peer.sendall(PREFACE + frame(4))
        return bool(peer.recv(9))
    except ConnectionError:
        return False


def drained(peer: socket.socket) -> None:
    """Return when the peer has closed the connection."""
    with contextlib.suppress(ConnectionError):
        while peer.recv(4096):
            pass

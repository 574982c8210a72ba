"""The live relay on the loopback interface, in one event loop with its peers."""

import asyncio
import hashlib
import random
import socket
import time
from contextlib import asynccontextmanager, suppress
from statistics import median

import pytest

from offramp.address import Address
from sim.description import parse_link
from sim.line import Line
from sim.model import build_link
from sim.relay import Relay
from sim.sockets import listen, local_address, precise_loop, reset

pytestmark = pytest.mark.e2e
LOCAL = Address("127.0.0.1", 0)


def run(story):
    async def bounded():
        async with asyncio.timeout(30):
            await story

    with asyncio.Runner(loop_factory=precise_loop) as runner:
        runner.run(bounded())


@asynccontextmanager
async def serving(answer, port=0):
    """The address of a server that calls `answer` with each connection."""

    writers = []

    async def connected(reader, writer):
        writers.append(writer)
        with suppress(ConnectionError):
            await answer(reader, writer)
        writer.close()

    server = await asyncio.start_server(connected, LOCAL.host, port)
    try:
        yield local_address(server.sockets[0])
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)


@asynccontextmanager
async def connected_to(address):
    """A connection, broken off at the end unless it is closed."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


@asynccontextmanager
async def shaped(upstream, log=lambda line: None, **description):
    """The address of a relay through a link."""
    listener = listen(LOCAL)
    relay = Relay(build_link(parse_link(description, "link")), upstream, log)
    task = asyncio.create_task(relay.serve(listener))
    try:
        yield local_address(listener)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def echo(reader, writer):
    while content := await reader.read(65536):
        writer.write(content)
        await writer.drain()


async def pour(writer, seconds):
    end_s = time.monotonic() + seconds
    with suppress(ConnectionError):
        while time.monotonic() < end_s:
            writer.write(bytes(65536))
            await writer.drain()


async def drunk_bytes(reader, seconds):
    """How many bytes arrive within some seconds."""
    total = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while content := await reader.read(65536):
                total += len(content)
    return total


async def delivered_bytes(direction, seconds, condition):
    """How many bytes arrive in `seconds` from the first connection on, one direction being busy."""
    counted = asyncio.get_running_loop().create_future()

    async def answer(reader, writer):
        if direction == "up":
            counted.set_result(await drunk_bytes(reader, seconds))
        else:
            await pour(writer, seconds)

    links = {"up": [{"kind": "noop"}], "down": [{"kind": "noop"}], direction: [condition]}
    async with serving(answer) as upstream, shaped(upstream, **links) as address:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        if direction == "up":
            await pour(writer, seconds)
            total = await counted
        else:
            total = await drunk_bytes(reader, seconds)
        writer.transport.abort()
        return total


def test_the_delivered_rate_over_ten_seconds_is_what_was_asked(tmp_path):
    trace = tmp_path / "trace"
    trace.write_text("0 2\n1 14\n2 0\n2.5 6\n3.5 10\n")
    condition = {"kind": "rate", "trace": str(trace)}
    served = build_link(parse_link({"up": [condition]}, "")).up.conditions[0].served
    cases = [
        ("up", {"kind": "rate", "bps": 4e6}, 4e6 * 10 / 8),
        ("down", {"kind": "rate", "bps": 20e6}, 20e6 * 10 / 8),
        ("up", condition, served.served_bytes(0, 10)),
        ("down", condition, served.served_bytes(0, 10)),
    ]

    async def story():
        totals = await asyncio.gather(
            *(delivered_bytes(direction, 10, condition) for direction, condition, _ in cases)
        )
        for total, (_, _, asked) in zip(totals, cases, strict=True):
            assert total == pytest.approx(asked, rel=0.05)

    run(story())


def test_a_small_message_takes_the_delay_each_way():
    async def story():
        link = [{"kind": "rate", "bps": 80e6}, {"kind": "delay", "seconds": 0.010}]
        async with serving(echo) as upstream, shaped(upstream, up=link) as address:
            reader, writer = await asyncio.open_connection(address.host, address.port)
            times_s = []
            for _ in range(50):
                start_s = time.perf_counter()
                writer.write(bytes(2000))
                await reader.readexactly(2000)
                times_s.append(time.perf_counter() - start_s)
            writer.close()
        # 10 ms and 2000 bytes at 80 Mbit/s, both ways.
        assert min(times_s) >= 0.0204 - 1e-4
        assert median(times_s) < 0.0204 + 0.003

    run(story())


def test_an_outage_stalls_and_then_resumes_with_every_byte():
    content = random.Random(1).randbytes(500_000)
    arrivals = []

    async def answer(reader, writer):
        digest = hashlib.sha256()
        while some := await reader.read(65536):
            arrivals.append(time.monotonic())
            digest.update(some)
        writer.write(digest.digest())

    async def story():
        outage = {"kind": "outage", "windows_s": [[0.5, 1.3]]}
        link = {"up": [{"kind": "rate", "bps": 4e6}, outage], "down": [{"kind": "noop"}]}
        async with serving(answer) as upstream, shaped(upstream, **link) as address:
            start_s = time.monotonic()
            reader, writer = await asyncio.open_connection(address.host, address.port)
            writer.write(content)
            writer.write_eof()
            assert await reader.read() == hashlib.sha256(content).digest()
            writer.close()
        inside = [at - start_s for at in arrivals if 0.55 < at - start_s < 1.3]
        assert inside == []
        assert arrivals[-1] - start_s == pytest.approx(1.8, abs=0.1)

    run(story())


def test_an_outage_that_resets_breaks_and_refuses_connections_until_its_end():
    async def story():
        outage = {"kind": "outage", "windows_s": [[0.2, 0.6]], "reset": True}
        async with serving(echo) as upstream, shaped(upstream, up=[outage]) as address:
            start_s = time.monotonic()
            for _ in range(2):
                async with connected_to(address) as (reader, _):
                    with pytest.raises(ConnectionResetError):
                        await reader.read()
                assert time.monotonic() - start_s == pytest.approx(0.2, abs=0.1)
            await asyncio.sleep(0.65 - (time.monotonic() - start_s))
            async with connected_to(address) as (reader, writer):
                writer.write(b"back")
                assert await reader.readexactly(4) == b"back"

    run(story())


def test_an_upstream_that_is_not_there_is_told_and_the_relay_serves_on():
    async def story():
        lines = []
        async with serving(echo) as upstream:
            pass
        async with shaped(upstream, lines.append, up=[{"kind": "noop"}]) as address:
            for _ in range(2):
                reader, writer = await asyncio.open_connection(address.host, address.port)
                assert await reader.read() == b""
                writer.close()
            async with (
                serving(echo, upstream.port),
                connected_to(address) as (reader, writer),
            ):
                writer.write(b"now")
                assert await reader.readexactly(3) == b"now"
        assert len(lines) == 2
        assert all(f"upstream {upstream} cannot be reached" in line for line in lines)

    run(story())


def test_an_answer_comes_after_the_request_is_closed_for_writing():
    async def answer(reader, writer):
        request = await reader.read()
        writer.write(request * 3)

    async def story():
        link = [{"kind": "delay", "seconds": 0.01}]
        async with serving(answer) as upstream, shaped(upstream, up=link) as address:
            reader, writer = await asyncio.open_connection(address.host, address.port)
            writer.write(b"abc" * 10_000)
            writer.write_eof()
            assert await reader.read() == b"abc" * 30_000
            writer.close()

    run(story())


def test_a_client_that_breaks_off_breaks_the_upstream_connection():
    async def story():
        ended = asyncio.get_running_loop().create_future()

        async def answer(reader, writer):
            await reader.readexactly(5)
            try:
                ended.set_result(await reader.read())
            except ConnectionResetError:
                ended.set_result("reset")

        async with serving(answer) as upstream, shaped(upstream, up=[{"kind": "noop"}]) as address:
            client = socket.create_connection((address.host, address.port))
            client.sendall(b"hello")
            await asyncio.sleep(0.05)
            reset(client)
            assert await ended == "reset"

    run(story())


def test_a_receiver_that_does_not_read_stops_the_sender_at_the_buffer(monkeypatch):
    held = []

    class Watched(Line):
        def enter(self, now_s, content):
            super().enter(now_s, content)
            held.append(self.held_bytes)

    monkeypatch.setattr("sim.relay.Line", Watched)

    async def story():
        reading = asyncio.Event()
        received = asyncio.get_running_loop().create_future()

        async def answer(reader, writer):
            writer.transport.pause_reading()
            await reading.wait()
            writer.transport.resume_reading()
            received.set_result(len(await reader.read()))

        link = {"up": [{"kind": "rate", "bps": 400e6}], "buffer_bytes": 65536}
        async with serving(answer) as upstream, shaped(upstream, **link) as address:
            _, writer = await asyncio.open_connection(address.host, address.port)
            writer.write(bytes(20_000_000))
            writer.write_eof()
            await asyncio.sleep(0.5)
            stalled_after = len(held)
            await asyncio.sleep(0.2)
            assert len(held) == stalled_after
            assert 65536 - 16384 < max(held) <= 65536
            reading.set()
            assert await received == 20_000_000
            writer.close()

    run(story())


def test_phases_are_told_from_the_first_connection_on():
    async def story():
        lines = []
        phases = [
            {"name": "good", "seconds": 0.1, "up": [{"kind": "noop"}]},
            {"name": "poor", "up": [{"kind": "delay", "seconds": 0.05}]},
        ]
        async with serving(echo) as upstream, shaped(upstream, lines.append, phases=phases) as at:
            await asyncio.sleep(0.15)
            assert lines == []
            async with connected_to(at):
                await asyncio.sleep(0.05)
                assert lines == ["phase good at 0.0 s"]
                await asyncio.sleep(0.1)
                assert lines == ["phase good at 0.0 s", "phase poor at 0.1 s"]

    run(story())


def test_stopping_closes_what_is_open():
    async def story():
        async with serving(echo) as upstream:
            async with shaped(upstream, up=[{"kind": "delay", "seconds": 5}]) as address:
                reader, writer = await asyncio.open_connection(address.host, address.port)
                writer.write(b"never there")
                await asyncio.sleep(0.05)
            assert await reader.read() == b""
            writer.close()

    run(story())

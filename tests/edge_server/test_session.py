"""Sessions in memory: no socket, no gRPC."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from edge_server.engine import Engine
from edge_server.history import History
from edge_server.scheduling.sample import Room
from edge_server.security.clients import Client
from edge_server.session import Arrival, Reply, Session
from edge_server.workers import WorkerPool
from offramp.messages import Answer, Failure, Probe, Request, Timeline


class Wire:
    """A device's end of a session: what it sends, and what it has read."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[Arrival | None] = asyncio.Queue()
        self.replies: list[Reply] = []
        self.reads = 0
        self.broken = False
        self.readable = asyncio.Event()
        self.readable.set()

    def send(self, *contents: Request | Probe | Answer) -> None:
        for content in contents:
            self.inbox.put_nowait((content, Timeline(received_s=time.monotonic())))

    async def read(self) -> Arrival | None:
        arrival = await self.inbox.get()
        self.reads += 1
        return arrival

    async def write(self, reply: Reply) -> None:
        await asyncio.wait_for(self.readable.wait(), 10)
        if self.broken:
            raise ConnectionError("gone")
        self.replies.append(reply)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.001)


Story = Callable[[Wire, "asyncio.Task[bool]", asyncio.Event, WorkerPool], Awaitable[None]]


@pytest.fixture
def play(gated_engine: Engine, gated: Any) -> Callable[[Story], None]:
    async def stage(story: Story) -> None:
        pool = WorkerPool(gated_engine, Room(), max_wait_s=10.0)
        wire, drained = Wire(), asyncio.Event()
        client, history = Client("board"), History(0)
        session = Session(pool, client, wire.read, wire.write, max_in_flight=4, history=history)
        task = asyncio.create_task(session.run(drained))
        try:
            await story(wire, task, drained, pool)
        finally:
            gated.gate.set()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await task
            await asyncio.to_thread(pool.close, 10)

    return lambda story: asyncio.run(stage(story))


def test_no_more_than_the_bound_is_read_before_it_is_answered(
    play: Any, gated: Any, sample: Any
) -> None:
    async def story(wire: Wire, task: Any, drained: Any, pool: WorkerPool) -> None:
        wire.send(*(sample.request(number=number) for number in range(10)))
        await wire.until(lambda: wire.reads == 4)
        await asyncio.sleep(0.02)
        assert (wire.reads, pool.load().queued, pool.load().running) == (4, 3, 1)
        gated.gate.set()
        await wire.until(lambda: len(wire.replies) == 10)
        assert [reply.id for reply in wire.replies] == list(range(10))

    play(story)


def test_device_that_does_not_read_is_not_read_from(play: Any) -> None:
    async def story(wire: Wire, task: Any, drained: Any, pool: WorkerPool) -> None:
        wire.readable.clear()
        wire.send(*(Probe(number) for number in range(10)))
        await wire.until(lambda: wire.reads == 4)
        await asyncio.sleep(0.02)
        assert wire.reads == 4
        wire.readable.set()
        await wire.until(lambda: len(wire.replies) == 10)

    play(story)


def test_probes_and_refusals_overtake_samples(play: Any, gated: Any, sample: Any) -> None:
    async def story(wire: Wire, task: Any, drained: Any, pool: WorkerPool) -> None:
        refused = Answer(3, failure=Failure("INVALID_ARGUMENT", "no"))
        wire.send(sample.request(number=1), Probe(2), refused)
        await wire.until(lambda: len(wire.replies) == 2)
        gated.gate.set()
        await wire.until(lambda: len(wire.replies) == 3)
        assert [reply.id for reply in wire.replies] == [2, 3, 1]

    play(story)


def test_last_message_is_answered_before_the_end(play: Any, gated: Any, sample: Any) -> None:
    async def story(wire: Wire, task: Any, drained: Any, pool: WorkerPool) -> None:
        wire.send(*(sample.request(number=number) for number in range(6)))
        wire.inbox.put_nowait(None)
        await wire.until(lambda: wire.reads == 4)
        gated.gate.set()
        assert await asyncio.wait_for(task, 10)
        assert len(wire.replies) == 6

    play(story)


def test_cancelled_session_drops_what_waits(play: Any, gated: Any, sample: Any) -> None:
    async def story(wire: Wire, task: Any, drained: Any, pool: WorkerPool) -> None:
        wire.send(*(sample.request(2, number=number) for number in range(4)))
        assert await asyncio.to_thread(gated.entered.acquire, True, 10)
        await wire.until(lambda: pool.load().queued == 3)
        task.cancel()
        await asyncio.wait({task}, timeout=10)
        assert task.cancelled()
        assert pool.load().queued == 0
        gated.gate.set()
        assert await asyncio.to_thread(pool.drain, 10)
        assert gated.ran == [2]

    play(story)


def test_broken_transport_ends_the_session(play: Any, sample: Any) -> None:
    async def story(wire: Wire, task: Any, drained: Any, pool: WorkerPool) -> None:
        wire.send(*(sample.request(number=number) for number in range(3)))
        await wire.until(lambda: pool.load().queued == 2)
        wire.broken = True
        wire.send(Probe(3))
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(task, 10)
        assert pool.load().queued == 0

    play(story)


def test_drained_session_writes_what_it_owes_and_ends(play: Any, gated: Any, sample: Any) -> None:
    async def story(wire: Wire, task: Any, drained: Any, pool: WorkerPool) -> None:
        wire.send(sample.request(number=1))
        await wire.until(lambda: pool.load().running == 1)
        wire.readable.clear()
        gated.gate.set()
        assert await asyncio.to_thread(pool.drain, 10)
        wire.send(sample.request(number=2))
        await wire.until(lambda: wire.reads == 2)
        drained.set()
        await asyncio.sleep(0.01)
        assert not task.done()
        wire.readable.set()
        assert not await asyncio.wait_for(task, 10)
        assert [(r.id, r.failure and r.failure.status) for r in wire.replies] == [
            (1, None),
            (2, "UNAVAILABLE"),
        ]

    play(story)

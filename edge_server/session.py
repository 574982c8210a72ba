"""Sessions: what one device's stream and one unary call do, on an event loop, without gRPC."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from edge_server.history import History
from edge_server.security.clients import Client
from edge_server.ticket import DEADLINE_PASSED, Ticket
from edge_server.workers import WorkerPool
from offramp.catalogue import Catalogue
from offramp.messages import Answer, Draining, Probe, ProbeReply, Request, Timeline

__all__ = ["Arrival", "Notice", "Reply", "Session", "answer_one", "stamp"]

Reply = Answer | ProbeReply
Notice = Catalogue | Draining
"""What a device is told without having asked."""
R = TypeVar("R", Answer, ProbeReply)
Arrival = tuple[Request | Probe | Answer, Timeline]
"""What came, and when and how long it was; an `Answer` if it was wrong and is answered already."""


class Session:
    """One stream: reads while there is room, writes answers as they come.

    ``read`` returns None when the device has sent its last message. Each message holds one of
    ``max_in_flight`` places until its answer has been handed to the transport, so a device
    that sends faster than it is served, or that does not read, is no longer read from. Samples
    that later ones may refer to are kept in ``history``.
    """

    def __init__(
        self,
        pool: WorkerPool,
        client: Client,
        read: Callable[[], Awaitable[Arrival | None]],
        write: Callable[[Reply | Notice], Awaitable[None]],
        max_in_flight: int,
        history: History,
    ) -> None:
        self._pool, self._client, self._read, self._write = pool, client, read, write
        self._max_in_flight = max_in_flight
        self._places = asyncio.Semaphore(max_in_flight)
        self._replies: asyncio.Queue[Reply | Notice] = asyncio.Queue()
        self._history = history
        self._loop = asyncio.get_running_loop()

    async def run(self, drained: asyncio.Event) -> bool:
        """Serve until the device is done and answered; return whether it was.

        It was not if ``drained`` came first: the server has stopped, and what it still owed
        this stream is written. However it ends, what waits for the engine is withdrawn.
        """
        reader = asyncio.create_task(self._read_all())
        writer = asyncio.create_task(self._write_all())
        leaving = asyncio.create_task(self._leave(drained))
        tasks = (reader, writer, leaving)
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            return reader in done
        finally:
            self._pool.withdraw(self)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def announce(self, notice: Notice) -> None:
        """Tell the device of the server, as soon as the answers before it are written."""
        self._replies.put_nowait(notice)

    async def _read_all(self) -> None:
        while True:
            await self._places.acquire()
            arrival = await self._read()
            if arrival is None:
                break
            self._accept(*arrival)
        for _ in range(self._max_in_flight - 1):  # all places free: all is answered
            await self._places.acquire()

    async def _write_all(self) -> None:
        while True:
            reply = await self._replies.get()
            await self._write(reply)
            self._replies.task_done()
            if not isinstance(reply, Notice):
                self._places.release()

    async def _leave(self, drained: asyncio.Event) -> None:
        await drained.wait()
        await self._replies.join()

    def _accept(self, content: Request | Probe | Answer, timeline: Timeline) -> None:
        if isinstance(content, Request):
            ticket = Ticket(content, timeline, self._client, self, self._deliver, self._history)
            failure = self._pool.submit(ticket)
            if failure:
                self._replies.put_nowait(ticket.failed(failure))
        elif isinstance(content, Probe):
            self._replies.put_nowait(ProbeReply(content.id, timeline))
        else:
            self._replies.put_nowait(content)

    def _deliver(self, answer: Answer) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the stream with it
            self._loop.call_soon_threadsafe(self._replies.put_nowait, answer)


async def answer_one(
    pool: WorkerPool, client: Client, request: Request, timeline: Timeline
) -> Answer:
    """Return the answer to a request that came alone, at the latest when its deadline passes."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Answer] = loop.create_future()

    def settle(answer: Answer) -> None:
        if not answered.done():
            answered.set_result(answer)

    def deliver(answer: Answer) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the call with it
            loop.call_soon_threadsafe(settle, answer)

    ticket = Ticket(request, timeline, client, answered, deliver)
    failure = pool.submit(ticket)
    if failure:
        return ticket.failed(failure)
    left_s = ticket.deadline_s(pool.max_wait_s) - time.monotonic()
    try:
        async with asyncio.timeout(left_s):
            return await answered
    except TimeoutError:
        return ticket.failed(DEADLINE_PASSED)
    finally:
        pool.withdraw(answered)


def stamp(reply: R, pool: WorkerPool) -> R:
    """Return a reply with the time that it took and the load as it leaves."""
    total_s = time.monotonic() - reply.timeline.received_s
    return replace(reply, timeline=replace(reply.timeline, total_s=total_s), load=pool.load())

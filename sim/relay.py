"""A TCP relay between clients and one upstream that behaves like a link.

The model says when each byte leaves; this module reads, waits and writes. It needs no privileges.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from offramp.address import Address
from sim.line import Line
from sim.link.outage import Outage
from sim.model import Link
from sim.pump import Clock, Pump
from sim.sockets import dial, reset

__all__ = ["Relay"]

_MAX_CONNECTIONS = 256
_ACCEPT_PAUSE_S = 0.1

Log = Callable[[str], None]


class Relay:
    """All connections through one link; made inside a running event loop.

    The link's time starts with the first connection, or at once if `starts_now`.
    """

    def __init__(
        self, link: Link, upstream: Address, log: Log, *, starts_now: bool = False
    ) -> None:
        self._link, self._upstream, self._log = link, upstream, log
        self._clock = Clock()
        if starts_now:
            self._clock.start()
        self._connections: set[asyncio.Task[None]] = set()
        self._blackouts = 0

    async def serve(self, listener: socket.socket) -> None:
        """Relay every connection to the listener, until cancelled; closes the listener."""
        with listener:
            async with asyncio.TaskGroup() as group:
                if self._link.names:
                    group.create_task(self._announce())
                for outage in self._link.outages:
                    group.create_task(self._break(outage))
                await self._accept(listener, group)

    async def _accept(self, listener: socket.socket, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError as error:
                self._log(f"a connection cannot be accepted: {error}")
                await asyncio.sleep(_ACCEPT_PAUSE_S)
                continue
            self._clock.start()
            if self._blackouts:
                reset(client)
            elif len(self._connections) >= _MAX_CONNECTIONS:
                self._log(f"a connection is refused: {_MAX_CONNECTIONS} are open")
                reset(client)
            else:
                self._admit(client, group)

    def _admit(self, client: socket.socket, group: asyncio.TaskGroup) -> None:
        task = group.create_task(self._connection(client))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        # A task that is cancelled before its first step closes nothing itself.
        task.add_done_callback(lambda _: client.close())

    async def _connection(self, client: socket.socket) -> None:
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = await dial(self._upstream)
        except OSError as error:
            self._log(f"upstream {self._upstream} cannot be reached: {str(error) or 'timed out'}")
            return
        broken = True
        try:
            await self._carry(client, server)
            broken = False
        except ConnectionResetError:
            pass
        except asyncio.CancelledError:
            broken = self._blackouts > 0
            raise
        finally:
            for sock in (client, server):
                reset(sock) if broken else sock.close()

    async def _carry(self, client: socket.socket, server: socket.socket) -> None:
        up = Line(self._link.up, self._link.buffer_bytes)
        down = Line(self._link.down, self._link.buffer_bytes)
        pumps = [
            asyncio.create_task(Pump(client, server, up, self._clock).run()),
            asyncio.create_task(Pump(server, client, down, self._clock).run()),
        ]
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.wait(pumps)

    async def _announce(self) -> None:
        for span in self._link.phases.spans(0.0):
            await self._clock.until(span.start_s)
            self._log(f"phase {self._link.names[span.index]} at {span.start_s:.1f} s")

    async def _break(self, outage: Outage) -> None:
        """Break every connection when a resetting outage begins, and refuse new ones in it."""
        for blackout in outage.blackouts(0.0):
            if not blackout.reset:
                continue
            await self._clock.until(blackout.start_s)
            self._blackouts += 1
            if self._blackouts == 1:
                for task in self._connections:
                    task.cancel()
                self._link.up.forget(self._clock.now_s())
                self._link.down.forget(self._clock.now_s())
            await self._clock.until(blackout.end_s)
            self._blackouts -= 1

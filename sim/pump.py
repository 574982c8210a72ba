"""Moving the bytes of one connection in one direction, each at its time."""

from __future__ import annotations

import asyncio
import socket
from math import inf

from sim.line import Line

__all__ = ["READ_BYTES", "Clock", "Pump"]

READ_BYTES = 16 * 1024
"""What is read at once, at most."""


class Clock:
    """The link's own time, which is 0 when it starts."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._origin_s = 0.0
        self._started = asyncio.Event()

    def start(self) -> None:
        """Let time begin, unless it has begun."""
        if not self._started.is_set():
            self._origin_s = self._loop.time()
            self._started.set()

    def now_s(self) -> float:
        """Seconds since the start."""
        return self._loop.time() - self._origin_s

    async def until(self, time_s: float) -> None:
        """Wait until a time, for ever if it is infinite."""
        await self._started.wait()
        if time_s == inf:
            await self._loop.create_future()
        await asyncio.sleep(time_s - self.now_s())


class Pump:
    """One direction of one connection: it reads while the line has room, and writes what leaves."""

    def __init__(
        self, source: socket.socket, sink: socket.socket, line: Line, clock: Clock
    ) -> None:
        self._source, self._sink, self._line, self._clock = source, sink, line, clock
        self._entered, self._room = asyncio.Event(), asyncio.Event()
        self._source_broke = False

    async def run(self) -> None:
        """Move bytes until the source ends; raises ConnectionResetError if it broke instead.

        If the sink breaks, what is left has nowhere to go and the pump stops; the other
        direction reads the break from the same peer and brings it to the end of its line.
        """
        reading = asyncio.create_task(self._read())
        try:
            await self._write()
        except OSError:
            pass
        finally:
            reading.cancel()
            await asyncio.wait([reading])
        if self._source_broke:
            raise ConnectionResetError("the source broke the connection")

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                while self._line.room_bytes < READ_BYTES:
                    self._room.clear()
                    await self._room.wait()
                content = await loop.sock_recv(self._source, READ_BYTES)
                if not content:
                    return
                self._line.enter(self._clock.now_s(), content)
                self._entered.set()
        except OSError:
            self._source_broke = True
        finally:
            self._line.end(self._clock.now_s())
            self._entered.set()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._line.ended(self._clock.now_s()):
            if content := self._line.leave(self._clock.now_s()):
                await loop.sock_sendall(self._sink, content)
                self._line.confirm(len(content))
                self._room.set()
            elif self._line.next_s < inf:
                await self._clock.until(self._line.next_s)
            else:
                self._entered.clear()
                await self._entered.wait()
        if not self._source_broke:
            self._sink.shutdown(socket.SHUT_WR)

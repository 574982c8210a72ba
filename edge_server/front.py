"""The front: gRPC's server, set up again should it end by itself.

The serving loop of grpcio's asyncio server reads the path of every call as UTF-8 (1.85,
``AioServer._server_main_loop``), and a path that is none, which any client can send, ends it: calls
that are open go on, but nothing new is let in.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import grpc

__all__ = ["Front"]

_LOOK_S = 0.1
_OPEN_S = 86_400.0  # the calls of one that has ended may take so long

_log = logging.getLogger(__name__)


class Front:
    """gRPC servers at one address, of which the latest listens.

    ``make`` returns one with its services, and ``bind`` lets it listen and returns the port.
    """

    def __init__(
        self, make: Callable[[], grpc.aio.Server], bind: Callable[[grpc.aio.Server, str], int]
    ) -> None:
        self._make, self._bind = make, bind
        self._server = make()
        self._former: dict[asyncio.Task[None], grpc.aio.Server] = {}

    def bind(self, listen: str) -> int:
        """Listen, and return the port that was bound; 0 or `RuntimeError` if it cannot be."""
        return self._bind(self._server, listen)

    async def start(self) -> None:
        """Begin to serve."""
        await self._server.start()

    async def run(self, listen: str) -> None:
        """Set up another server at the address where one ended by itself, until it is stopped."""
        serving = True
        while serving:
            try:
                serving = await self._server.wait_for_termination(_LOOK_S)
            except Exception as error:  # whatever ended it
                _log.error("gRPC's server has ended by itself (%s); it is set up again", error)
                await self._set_up(listen)

    async def stop(self, grace_s: float) -> None:
        """End all calls, after ``grace_s`` at the latest."""
        await asyncio.gather(
            *(server.stop(grace_s) for server in (self._server, *self._former.values()))
        )

    async def _set_up(self, listen: str) -> None:
        ending = asyncio.create_task(self._server.stop(_OPEN_S))
        self._former[ending] = self._server
        ending.add_done_callback(self._former.pop)
        while True:
            self._server = self._make()
            try:
                if self._bind(self._server, listen):
                    break
            except RuntimeError:
                _log.error("cannot listen on %s again; trying once more", listen)
            await asyncio.sleep(_LOOK_S)
        await self._server.start()

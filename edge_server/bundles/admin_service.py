"""The service `offramp.v1.Admin`: messages into values and back, and calls of plain functions."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc

from edge_server.bundles.administration import Administration
from edge_server.ending import end_call
from edge_server.security.clients import Client
from edge_server.security.identity import Identity
from offramp.errors import InputError, OfframpError
from offramp.messages import failure_of
from protos.offramp.v1 import admin_pb2 as pb
from protos.offramp.v1 import admin_pb2_grpc

__all__ = ["AdminService"]

Context = grpc.aio.ServicerContext[Any, Any]
R = TypeVar("R")

_log = logging.getLogger(__name__)


class AdminService(admin_pb2_grpc.AdminServicer):
    """Answers those who may administer the server."""

    def __init__(self, administration: Administration, identity: Identity) -> None:
        self._administration, self._identity = administration, identity

    async def List(  # noqa: N802
        self, request: pb.ListBundlesRequest, context: Context
    ) -> pb.ListBundlesResponse:
        """Say what is known."""

        async def answer(client: Client) -> pb.ListBundlesResponse:
            held = self._administration.list(client)
            return pb.ListBundlesResponse(bundles=[one.to_proto() for one in held])

        return await self._answer(context, answer)

    async def Load(  # noqa: N802
        self, request: pb.LoadBundleRequest, context: Context
    ) -> pb.LoadBundleResponse:
        """Take in a bundle."""

        async def answer(client: Client) -> pb.LoadBundleResponse:
            held = await self._administration.load(client, request.path)
            return pb.LoadBundleResponse(bundle=held.to_proto())

        return await self._answer(context, answer)

    async def Unload(  # noqa: N802
        self, request: pb.UnloadBundleRequest, context: Context
    ) -> pb.UnloadBundleResponse:
        """Take a bundle away."""

        async def answer(client: Client) -> pb.UnloadBundleResponse:
            digest = _digest(request.bundle_digest)
            return pb.UnloadBundleResponse(was_known=self._administration.unload(client, digest))

        return await self._answer(context, answer)

    async def _answer(self, context: Context, answer: Callable[[Client], Awaitable[R]]) -> R:
        """Return the answer to a call, or end it with why there is none."""
        try:
            return await answer(self._identity.client_of(context))
        except Exception as error:  # whatever is wrong with a bundle, the caller is to know
            if not isinstance(error, OfframpError):
                _log.error("a call of the administration failed: %r", error)
            await end_call(context, failure_of(error))
            raise


def _digest(given: bytes) -> str:
    if len(given) != 32:
        raise InputError(
            f"bundle_digest has {len(given)} bytes; send the manifest's SHA-256, 32 bytes"
        )
    return given.hex()

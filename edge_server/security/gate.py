"""The gate: every call passes it, and it lets in those that say who they are, and not too many.

Here alone calls are authenticated, counted, and given up on when a client does not go on. What a
client may do with which model is the services' to say.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc

from edge_server.ending import end_call
from edge_server.security.clients import Client, peer_client
from edge_server.security.identity import Identity
from edge_server.seeing.log_limit import LogLimit
from edge_server.seeing.watching import Watcher
from offramp.errors import AuthenticationError, OfframpError, OverloadError
from offramp.messages import Failure, failure_of

__all__ = ["CallLimits", "Gate"]

_HEALTH = "/grpc.health.v1.Health/"  # load balancers ask for it, and have no token
_LAST_WORD_S = 1.0
_END = grpc.aio.EOF  # type: ignore[attr-defined]  # missing in the stubs

_log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Behaviour = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class CallLimits:
    """What a caller may take: open calls of one client, and times in which it has to go on.

    Its first message has to come within ``first_message_s``, and each message to it has to be
    taken by the connection within ``stalled_s``.
    """

    client_calls: int
    first_message_s: float
    stalled_s: float


class _Call:
    """An open call, and its context for the handler: it notes whether the client goes on.

    ``why`` says why it was broken off.
    """

    def __init__(self, context: Context, client: Client, *, is_health: bool) -> None:
        self.context, self.client, self.is_health = context, client, is_health
        self.task = asyncio.current_task()
        self.why: Failure | None = None
        self._loop = asyncio.get_running_loop()
        self._opened_s, self._writing_s = self._loop.time(), math.inf

    def __getattr__(self, name: str) -> Any:
        return getattr(self.context, name)

    async def read(self) -> Any:
        """Return the next message."""
        message = await self.context.read()
        self._opened_s = math.inf  # it has been heard of: it may be silent from now on
        return message

    async def write(self, message: Any) -> None:
        """Send a message, as soon as the client makes room for it."""
        self._writing_s = self._loop.time()
        await self.context.write(message)
        self._writing_s = math.inf

    def why_overdue(self, now_s: float, limits: CallLimits) -> Failure | None:
        """Return why it is not waited for any longer; None if it is."""
        if now_s - self._opened_s > limits.first_message_s:
            return Failure(
                "DEADLINE_EXCEEDED",
                f"nothing came for {limits.first_message_s:g} s; send a sample or a probe once a "
                "call is open",
            )
        if now_s - self._writing_s > limits.stalled_s:
            return Failure(
                "DEADLINE_EXCEEDED",
                f"no message was taken for {limits.stalled_s:g} s; read the answers",
            )
        return None


class Gate(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # it is no generic
    """Lets calls of known clients in, each with at most so many open, and ends stalled ones.

    A call counts until gRPC is rid of it. Health checks need no token; they count for their host.
    ``watchers`` are told of each call that it refuses or ends.
    """

    def __init__(self, identity: Identity, limits: CallLimits) -> None:
        self._identity = identity
        self._limits = limits
        self._open: Counter[str] = Counter()
        self._calls: set[_Call] = set()
        self._refusals = LogLimit()
        self.watchers: list[Watcher] = []

    async def intercept_service(
        self,
        continuation: Callable[[Any], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return a handler that checks the caller before it does what the service's own does."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        is_health = handler_call_details.method.startswith(_HEALTH)
        serve = _serving(handler)

        async def guarded(messages: AsyncIterator[Any], context: Context) -> None:
            await self._guard(context, serve, messages, is_health=is_health)

        return grpc.stream_stream_rpc_method_handler(
            guarded, handler.request_deserializer, handler.response_serializer
        )

    def recheck(self) -> None:
        """End the calls that do not go on, and of clients that are none any more or have changed.

        To be asked again and again, say once a second.
        """
        now_s = asyncio.get_running_loop().time()
        for call in self._calls:
            if call.why is None and (why := self._why_not(call, now_s)) is not None:
                call.why = why
                assert call.task is not None
                call.task.cancel()

    async def _guard(
        self, context: Context, serve: Behaviour, messages: Any, *, is_health: bool
    ) -> None:
        try:
            client = self._admit(context, is_health=is_health)
        except OfframpError as error:
            failure = failure_of(error)
            self._report(context, failure)
            await end_call(context, failure)
            return
        call = _Call(context, client, is_health=is_health)
        self._calls.add(call)
        try:
            await serve(messages, call)
        except asyncio.CancelledError:
            if call.why is None:
                raise
            assert call.task is not None
            call.task.uncancel()
            self._report(context, call.why)
            await _last_word(context, call.why)
        finally:
            self._calls.discard(call)

    def _admit(self, context: Context, *, is_health: bool) -> Client:
        """Return who calls, and count the call until it has ended."""
        client = peer_client(context.peer()) if is_health else self._identity.client_of(context)
        if self._open[client.name] >= self._limits.client_calls:
            raise OverloadError(
                f"client {client.name!r} has {self._limits.client_calls} calls open; end some first"
            )
        self._open[client.name] += 1
        context.add_done_callback(lambda _: self._left(client.name))  # type: ignore[arg-type]
        return client

    def _left(self, name: str) -> None:
        self._open[name] -= 1
        if not self._open[name]:
            del self._open[name]

    def _why_not(self, call: _Call, now_s: float) -> Failure | None:
        if overdue := call.why_overdue(now_s, self._limits):
            return overdue
        if call.is_health:
            return None
        try:
            client = self._identity.client_of(call.context)
        except AuthenticationError as error:
            return failure_of(error)
        if client == call.client:
            return None
        return Failure("UNAVAILABLE", "what this client may do has changed; connect again")

    def _report(self, context: Context, failure: Failure) -> None:
        for watcher in self.watchers:
            watcher.turned_away(failure)
        if self._refusals.lets(asyncio.get_running_loop().time()):
            more = self._refusals.take_hidden()
            also = f" ({more} more since the last such line)" if more else ""
            _log.warning("call from %s ended: %s%s", context.peer(), failure.message, also)


def _serving(handler: grpc.RpcMethodHandler[Any, Any]) -> Behaviour:
    """Return how a handler of any kind serves a stream of messages on a context."""
    if handler.request_streaming:
        behaviour = handler.stream_stream if handler.response_streaming else handler.stream_unary
    else:
        behaviour = handler.unary_stream if handler.response_streaming else handler.unary_unary

    async def serve(messages: Any, context: Any) -> None:
        given = messages
        if not handler.request_streaming and (given := await context.read()) is _END:
            await end_call(
                context, Failure("INVALID_ARGUMENT", "the call has no message; send one")
            )
        assert behaviour is not None
        made: Any = behaviour(given, context)
        if inspect.isasyncgen(made):
            async for message in made:
                await context.write(message)
        elif (message := await made) is not None and not handler.response_streaming:
            await context.write(message)

    return serve


async def _last_word(context: Context, failure: Failure) -> None:
    """End a call if its client lets us: a status waits behind what it does not read."""
    try:
        async with asyncio.timeout(_LAST_WORD_S):
            await end_call(context, failure)
    except (TimeoutError, grpc.aio.InternalError, grpc.aio.UsageError):
        return  # it does not, has hung up meanwhile, or was told before

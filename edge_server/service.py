"""The service `offramp.v1.Edge`: turns messages into values and back, and calls plain functions."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator
from contextlib import closing, suppress

import grpc

from edge_server.ending import end_call
from edge_server.files import read_span
from edge_server.history import History
from edge_server.security.clients import Client
from edge_server.security.identity import Identity
from edge_server.security.rate_limits import RateLimits
from edge_server.seeing.watching import Ledger, Watcher
from edge_server.session import Arrival, Notice, Reply, Session, answer_one, stamp
from edge_server.settings import ServerSettings
from edge_server.ticket import STOPPING, too_often
from edge_server.workers import WorkerPool
from offramp import __version__
from offramp.catalogue import Catalogue, FileRequest
from offramp.errors import InputError, OfframpError, RightsError, UnknownBundleError
from offramp.messages import (
    Answer,
    Draining,
    Failure,
    Probe,
    ProbeReply,
    Request,
    Timeline,
    failure_of,
)
from protos.offramp.v1 import edge_pb2_grpc
from protos.offramp.v1 import inference_pb2 as pb

__all__ = ["EdgeService"]

_END = grpc.aio.EOF  # type: ignore[attr-defined]  # missing in the stubs

_log = logging.getLogger(__name__)

StreamContext = grpc.aio.ServicerContext[pb.StreamRequest, pb.StreamResponse]
InferContext = grpc.aio.ServicerContext[pb.InferRequest, pb.InferResponse]
FileContext = grpc.aio.ServicerContext[pb.ReadFileRequest, pb.FileChunk]
DescribeContext = grpc.aio.ServicerContext[pb.DescribeRequest, pb.DescribeResponse]


class EdgeService(edge_pb2_grpc.EdgeServicer):
    """Answers devices from a pool; once ``drained`` is set, every stream is brought to its end.

    Once `drain` was called, only the streams that were open then are served.
    """

    def __init__(self, pool: WorkerPool, settings: ServerSettings, identity: Identity) -> None:
        self.drained = asyncio.Event()
        self._pool = pool
        self._identity = identity
        self._settings = settings
        self._rates = RateLimits(settings.max_rate_hz)
        self._draining = False
        self._streams: set[asyncio.Task[None]] = set()
        self._sessions: dict[Session, Client] = {}
        self._numbers = itertools.count(1)
        self.watchers: list[Watcher] = []

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    async def Stream(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.StreamRequest], context: StreamContext
    ) -> None:
        """Serve one device's stream."""
        task = asyncio.current_task()
        assert task is not None
        refusal = STOPPING if self._draining else None
        if len(self._streams) >= self._settings.max_streams:
            refusal = refusal or _TOO_MANY
        if refusal:
            for watcher in self.watchers:
                watcher.turned_away(refusal)
            await end_call(context, refusal)
        self._streams.add(task)
        try:
            await self._serve(context)
        finally:
            self._streams.discard(task)

    async def Infer(  # noqa: N802
        self, request: pb.InferRequest, context: InferContext
    ) -> pb.InferResponse:
        """Answer one sample; a failure becomes the call's status."""
        if self._draining:
            await end_call(context, STOPPING)
        client = self._identity.client_of(context)
        content, timeline = _take(request, request)
        ledger = Ledger(client.name, 0, self.watchers)
        with closing(ledger):
            if isinstance(content, Request):
                ledger.came(content)
                wait_s = self._rates.take(time.monotonic(), client)
                content = self._allowed(content, client, timeline, wait_s)
            if isinstance(content, Request):
                content = await answer_one(self._pool, client, content, timeline)
            answer = stamp(content, self._pool)
            message = answer.to_proto()
            ledger.left(answer, int if answer.failure else message.ByteSize)
        if answer.failure:
            await end_call(context, answer.failure)
        return message

    async def Describe(  # noqa: N802
        self, request: pb.DescribeRequest, context: DescribeContext
    ) -> pb.DescribeResponse:
        """Say what is loaded and allowed."""
        client = self._identity.client_of(context)
        return pb.DescribeResponse(
            bundles=self._catalogue(client).to_proto().bundles,
            version=__version__,
            max_message_bytes=self._settings.max_message_bytes,
        )

    async def ReadFile(  # noqa: N802
        self, request: pb.ReadFileRequest, context: FileContext
    ) -> AsyncIterator[pb.FileChunk]:
        """Send a file of a bundle to a device that fetches it."""
        try:
            wanted = FileRequest.from_proto(request)
            self._check_right(self._identity.client_of(context), wanted.digest)
            span = read_span(self._pool.engine.holdings.bundle(wanted.digest), wanted)
            while data := await asyncio.to_thread(next, span, b""):
                yield pb.FileChunk(data=data)
        except OfframpError as error:
            await end_call(context, failure_of(error))
        except OSError as error:
            what = request.path, wanted.digest, error
            _log.error("%s of bundle %s cannot be read: %s", *what, extra={"bundle": wanted.digest})
            await end_call(context, _UNREADABLE)

    def announce(self) -> None:
        """Tell every device what the server holds now."""
        for session, client in self._sessions.items():
            session.announce(self._catalogue(client))

    def drain(self, notice: Draining) -> None:
        """Serve nobody new, and tell every device to go elsewhere."""
        self._draining = True
        for session in self._sessions:
            session.announce(notice)

    async def wait_for_streams(self, limit_s: float) -> None:
        """Wait until every stream has ended, at most ``limit_s``."""
        if self._streams:
            await asyncio.wait(set(self._streams), timeout=limit_s)

    def _catalogue(self, client: Client) -> Catalogue:
        """Return what of all that is held a client may use."""
        return self._pool.engine.catalogue().only(client.may_use)

    def _check_right(self, client: Client, digest: str) -> None:
        """Raise `RightsError` if a client may not use a bundle, if it is one that is known."""
        if client.models is None:
            return
        with suppress(UnknownBundleError):
            name = self._pool.engine.holdings.bundle(digest).manifest.name
            if not client.may_use(name):
                raise RightsError(
                    f"client {client.name!r} may not use model {name!r}; ask the server's operator"
                )

    def _allowed(
        self, request: Request, client: Client, timeline: Timeline, wait_s: float
    ) -> Request | Answer:
        """Return a sample, or the refusal if its client may not send it, or not for ``wait_s``."""
        if wait_s:
            failure = too_often(client.name, wait_s)
            return Answer(request.id, failure=failure, timeline=timeline)
        try:
            self._check_right(client, request.digest)
        except RightsError as error:
            return Answer(request.id, failure=failure_of(error), timeline=timeline)
        return request

    async def _serve(self, context: StreamContext) -> None:
        client = self._identity.client_of(context)
        ledger = Ledger(client.name, next(self._numbers), self.watchers)

        wait_s = 0.0

        async def read() -> Arrival | None:
            nonlocal wait_s
            while True:
                if wait_s:  # a flood is not read faster than it is allowed to come
                    await asyncio.sleep(wait_s)
                message = await context.read()
                if message is _END:
                    return None
                wait_s = self._rates.take(time.monotonic(), client)
                if arrival := _arrival(message):
                    content, timeline = arrival
                    if isinstance(content, Request):
                        ledger.came(content)
                        content = self._allowed(content, client, timeline, wait_s)
                    return content, timeline

        async def write(reply: Reply | Notice) -> None:
            if not isinstance(reply, Answer):
                await context.write(_message(reply, self._pool))
                return
            answer = stamp(reply, self._pool)
            message = pb.StreamResponse(infer=answer.to_proto())
            await context.write(message)
            ledger.left(answer, message.ByteSize)

        history = History(self._settings.history_bytes)
        session = Session(self._pool, client, read, write, self._settings.max_in_flight, history)
        session.announce(self._catalogue(client))
        self._sessions[session] = client
        try:
            finished = await session.run(self.drained)
        finally:
            del self._sessions[session]
            ledger.close()
        if not finished:
            await end_call(context, STOPPING)


_TOO_MANY = Failure(
    "RESOURCE_EXHAUSTED",
    "the server serves as many streams as it may; try another server",
    cause="too_many_streams",
)

_UNREADABLE = Failure(
    "UNAVAILABLE", "the server cannot read that file now; its log says why; try again later"
)


def _take(
    message: pb.InferRequest, whole: pb.InferRequest | pb.StreamRequest
) -> tuple[Request | Answer, Timeline]:
    """Read a request out of the ``whole`` message that came, and let go of its frames there."""
    received_s = time.monotonic()
    try:
        request = Request.from_proto(message)
    except InputError as error:
        timeline = Timeline(received_s=received_s, received_bytes=whole.ByteSize())
        return Answer(message.id, failure=failure_of(error), timeline=timeline), timeline
    # `ByteSize` writes a message out to measure it, half a millisecond for frames of 800 KB.
    del message.frames[:]
    size_bytes = message.ByteSize() + sum(_field_bytes(len(frame)) for frame in request.frames)
    if whole is not message:
        size_bytes = _field_bytes(size_bytes)
    return request, Timeline(received_s=received_s, received_bytes=size_bytes)


def _field_bytes(length: int) -> int:
    """Return what a field of so many bytes takes in a message: tag, length and content."""
    return 1 + max(-(-length.bit_length() // 7), 1) + length


def _arrival(message: pb.StreamRequest) -> Arrival | None:
    match message.WhichOneof("kind"):
        case "infer":
            return _take(message.infer, message)
        case "probe":
            timeline = Timeline(received_s=time.monotonic(), received_bytes=message.ByteSize())
            return Probe.from_proto(message.probe), timeline
        case _:
            return None


def _message(reply: ProbeReply | Notice, pool: WorkerPool) -> pb.StreamResponse:
    if isinstance(reply, Catalogue):
        return pb.StreamResponse(catalogue=reply.to_proto())
    if isinstance(reply, Draining):
        return pb.StreamResponse(draining=reply.to_proto())
    return pb.StreamResponse(probe=stamp(reply, pool).to_proto())

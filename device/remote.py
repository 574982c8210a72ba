"""The stream to the edge server: samples and probes out, answers in."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from typing import Protocol

import grpc

from device.channel import open_channel
from device.reconnect import CONNECT_S, Reconnection
from offramp.address import Address
from offramp.catalogue import Catalogue
from offramp.errors import BundleError
from offramp.messages import Answer, Probe, ProbeReply, Request
from protos.offramp.v1 import inference_pb2 as pb
from protos.offramp.v1.edge_pb2_grpc import EdgeStub

__all__ = ["Listener", "Remote"]

_Outbox = queue.SimpleQueue[Request | Probe | None]


class Listener(Protocol):
    """Who hears of the connection, on the connection's own threads; it must not raise."""

    def on_message(self, message: Answer | ProbeReply) -> None:
        """Take what the server sent."""

    def on_state(self, up: bool, reason: str) -> None:
        """Take that the stream opened, or broke or could not be opened, and why."""

    def on_catalogue(self, catalogue: Catalogue) -> None:
        """Take what the server holds, when the stream opens and when that changes."""

    def on_ready(self) -> None:
        """Take that the stream can take one message."""


class Remote:
    """One stream to a server, reopened for as long as it is wanted."""

    def __init__(self, address: Address, listener: Listener) -> None:
        self.address = address
        self._listener = listener
        self._outbox: _Outbox | None = None
        self._opening: grpc.Future[object] | None = None
        self._call: grpc.Call | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="remote", daemon=True)

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()

    def send(self, message: Request | Probe) -> None:
        """Hand the stream a message, once each time that it is ready; lost if it broke since."""
        outbox = self._outbox
        if outbox is not None:
            outbox.put(message)

    def close(self) -> None:
        """End the stream and wait a moment for the thread."""
        self._closing.set()
        opening, call, outbox = self._opening, self._call, self._outbox
        if opening is not None:
            opening.cancel()
        if outbox is not None:
            outbox.put(None)
        if call is not None:
            call.cancel()  # type: ignore[no-untyped-call]
        if self._thread.ident is not None:
            self._thread.join(timeout=CONNECT_S + 1)

    def _run(self) -> None:
        reconnection = Reconnection()
        while not self._closing.is_set():
            opened, reason = self._session()
            if self._closing.is_set():
                return
            self._listener.on_state(False, reason)
            self._closing.wait(reconnection.ended(opened=opened))

    def _session(self) -> tuple[bool, str]:
        """Run one connection to its end; return whether it opened, and why it ended."""
        opened = False
        with open_channel(self.address) as channel:
            self._opening = grpc.channel_ready_future(channel)
            try:
                self._opening.result(timeout=CONNECT_S)
            except (grpc.FutureTimeoutError, grpc.FutureCancelledError):
                return False, f"{self.address} does not answer; is the server running?"
            outbox: _Outbox = queue.SimpleQueue()
            try:
                call = EdgeStub(channel).Stream(self._drain(outbox))  # type: ignore[no-untyped-call]
                self._call, self._outbox, opened = call, outbox, True
                self._listener.on_state(True, "")
                for message in call:
                    self._deliver(message)
                return opened, f"{self.address} ended the stream"
            except grpc.RpcError as error:
                code = error.code().name if isinstance(error, grpc.Call) else "UNKNOWN"
                detail = error.details() if isinstance(error, grpc.Call) else str(error)
                return opened, f"{self.address}: {code}, {detail}"
            finally:
                self._outbox = self._call = None
                outbox.put(None)

    def _deliver(self, message: pb.StreamResponse) -> None:
        match message.WhichOneof("kind"):
            case "infer":
                self._listener.on_message(Answer.from_proto(message.infer))
            case "probe":
                self._listener.on_message(ProbeReply.from_proto(message.probe))
            case "catalogue":
                with contextlib.suppress(BundleError):  # what makes no sense announces nothing
                    self._listener.on_catalogue(Catalogue.from_proto(message.catalogue))

    def _drain(self, outbox: _Outbox) -> Iterator[pb.StreamRequest]:
        """Yield messages; gRPC asks for the next one when the stream has taken the last."""
        while True:
            self._listener.on_ready()
            message = outbox.get()
            if message is None:
                return
            if isinstance(message, Probe):
                yield pb.StreamRequest(probe=message.to_proto())
            else:
                yield pb.StreamRequest(infer=message.to_proto())

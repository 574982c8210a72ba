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
from device.refusal import refusal_of, why_closed
from device.security import SecuritySettings
from offramp.address import Address
from offramp.catalogue import Catalogue
from offramp.errors import AuthenticationError, BundleError, ConfigError, OfframpError
from offramp.messages import Answer, Probe, ProbeReply, Request
from protos.offramp.v1 import inference_pb2 as pb
from protos.offramp.v1.edge_pb2_grpc import EdgeStub

__all__ = ["Listener", "Remote"]

_FIRST_WORD_S = 10.0  # a server greets each stream with its catalogue

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
    """One stream to a server, reopened for as long as it is wanted.

    ``refusal`` says why the two do not trust each other, None as long as that is not known.
    """

    def __init__(self, address: Address, listener: Listener, security: SecuritySettings) -> None:
        self.address = address
        self.refusal: AuthenticationError | None = None
        self._security = security
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
            refused = self.refusal is not None
            self._closing.wait(reconnection.ended(opened=opened, refused=refused))

    def _session(self) -> tuple[bool, str]:
        """Run one connection to its end; return whether it opened, and why it ended."""
        self.refusal = None
        try:
            channel = open_channel(self.address, self._security)
        except ConfigError as error:  # a file has gone, or is being replaced
            return False, str(error)
        with channel:
            self._opening = grpc.channel_ready_future(channel)
            try:
                self._opening.result(timeout=CONNECT_S)
            except grpc.FutureCancelledError:
                return False, "the device is stopping"
            except grpc.FutureTimeoutError:
                return self._ended(why_closed(self.address, channel))
            return self._talk(channel)

    def _talk(self, channel: grpc.Channel) -> tuple[bool, str]:
        """Run one stream to its end; it is open once the server has said its first word."""
        opened = False
        outbox: _Outbox = queue.SimpleQueue()
        call = EdgeStub(channel).Stream(self._drain(outbox))  # type: ignore[no-untyped-call]
        self._call, self._outbox = call, outbox
        waiting = threading.Timer(_FIRST_WORD_S, call.cancel)
        waiting.daemon = True
        waiting.start()
        try:
            for message in call:
                if not opened:
                    opened = True
                    waiting.cancel()
                    self._listener.on_state(True, "")
                self._deliver(message)
            return opened, f"{self.address} ended the stream"
        except grpc.RpcError as error:
            if refusal := refusal_of(self.address, error):
                self.refusal = refusal
                return opened, str(refusal)
            if not opened and waiting.finished.is_set():
                return opened, f"{self.address} took the connection, and then said nothing"
            code = error.code().name if isinstance(error, grpc.Call) else "UNKNOWN"
            detail = error.details() if isinstance(error, grpc.Call) else str(error)
            return opened, f"{self.address}: {code}, {detail}"
        finally:
            waiting.cancel()
            self._outbox = self._call = None
            outbox.put(None)

    def _ended(self, why: OfframpError) -> tuple[bool, str]:
        """Take in why no stream could be opened."""
        self.refusal = why if isinstance(why, AuthenticationError) else None
        return False, str(why)

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
                whole = pb.StreamRequest()
                message.write_into(whole.infer)
                yield whole

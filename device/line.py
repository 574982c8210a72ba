"""A line: one stream to one server, from the first attempt to its end."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from device.channel import open_channel
from device.reconnect import CONNECT_S
from device.refusal import refusal_of, why_closed
from device.security import SecuritySettings
from offramp.address import Address
from offramp.catalogue import Catalogue
from offramp.errors import AuthenticationError, BundleError, ConfigError
from offramp.messages import Answer, Draining, Probe, ProbeReply, Request
from protos.offramp.v1 import edge_pb2
from protos.offramp.v1 import inference_pb2 as pb
from protos.offramp.v1.edge_pb2_grpc import EdgeStub

__all__ = ["Line", "Owner"]

_SERVICE: str = edge_pb2.DESCRIPTOR.services_by_name["Edge"].full_name
_KEPT = 64  # a server keeps fewer of a stream
_SERVING = health_pb2.HealthCheckResponse.SERVING


class Owner(Protocol):
    """Who hears of a line, on the line's own threads; it must not raise."""

    def on_message(self, line: Line, message: Answer | ProbeReply) -> None:
        """Take what the server sent."""

    def on_catalogue(self, line: Line, catalogue: Catalogue) -> None:
        """Take what the server holds: the first word on a stream, by which it is open."""

    def on_draining(self, line: Line, notice: Draining) -> None:
        """Take that the server is about to stop."""

    def on_ready(self, line: Line) -> None:
        """Take that the stream can take one message."""

    def on_ended(self, line: Line, reason: str) -> None:
        """Take that there is no stream, or none any more, and why; nothing comes after that."""


class Line:
    """Asks a server whether it is well and opens a stream to it; ends once, and is not used again.

    If it is only to ``look``, it ends after the question, with no reason if all is well. One that
    is ``patient`` goes on for as long as an attempt may take, where nobody listens yet. ``due`` are
    the samples that were sent and have not been answered, ``kept`` the latest that the server said
    it keeps. ``is_ready`` while the stream can take a message. ``refusal`` says why device and
    server do not trust each other, if that is why it ended.
    """

    def __init__(
        self,
        address: Address,
        security: SecuritySettings,
        owner: Owner,
        *,
        patient: bool = False,
        look: bool = False,
    ) -> None:
        self.address = address
        self.refusal: AuthenticationError | None = None
        self._security = security
        self.due: set[int] = set()
        self._probes: set[int] = set()
        self.kept: deque[int] = deque(maxlen=_KEPT)
        self.is_ready = self._asked_well = False
        self._owner, self._patient, self._look = owner, patient, look
        self._outbox: queue.SimpleQueue[Request | Probe | None] = queue.SimpleQueue()
        self._call: Any = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"line-{address}", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def send(self, message: Request | Probe) -> None:
        """Hand the stream a message; lost if it has ended or was left."""
        (self.due if isinstance(message, Request) else self._probes).add(message.id)
        self._outbox.put(message)

    def leave(self) -> None:
        """Send nothing any more; the server ends the stream when it has answered all."""
        self._outbox.put(None)

    def close(self) -> None:
        """End now."""
        self._closed = True
        self._outbox.put(None)
        call = self._call
        if call is not None:
            call.cancel()

    def join(self, limit_s: float) -> None:
        """Wait until it has ended."""
        self._thread.join(limit_s)

    def _run(self) -> None:
        try:
            with open_channel(self.address, self._security) as channel:
                reason = self._ask(channel) or ("" if self._look else self._serve(channel))
        except ConfigError as error:  # a file has gone, or is being replaced
            reason = str(error)
        except grpc.RpcError as error:
            reason = self._why(error)
        except Exception as error:  # whatever it is: who owns the line has to try another one
            reason = f"{self.address}: the connection failed ({error!r})"
        self._outbox.put(None)
        self._owner.on_ended(self, reason)

    def _ask(self, channel: grpc.Channel) -> str:
        """Return why the server cannot be used; an empty text if it is well, or does not say."""
        stub: Any = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=_SERVICE)
        self._take_up(stub.Check.future(request, timeout=CONNECT_S, wait_for_ready=self._patient))
        try:
            well = self._call.result().status == _SERVING
        except grpc.FutureCancelledError:
            return f"{self.address} was not waited for any longer"
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return ""
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                why = why_closed(self.address, channel)
                self.refusal = why if isinstance(why, AuthenticationError) else None
                return str(why)
            raise
        return "" if well else f"{self.address} is stopping, or not ready yet"

    def _serve(self, channel: grpc.Channel) -> str:
        """Run the stream to its end, and return why it ended."""
        self._asked_well = True
        self._take_up(EdgeStub(channel).Stream(self._drain()))  # type: ignore[no-untyped-call]
        for message in self._call:
            self._deliver(message)
        return f"{self.address} ended the stream"

    def _why(self, error: grpc.RpcError) -> str:
        if self._closed:
            return f"{self.address} took the connection, and then said nothing"
        self.refusal = refusal_of(self.address, error)
        if self.refusal:
            return str(self.refusal)
        code = error.code().name if isinstance(error, grpc.Call) else "UNKNOWN"
        if code == "UNAVAILABLE" and not self._asked_well:
            return f"{self.address} does not answer; is the server running?"
        detail = error.details() if isinstance(error, grpc.Call) else str(error)
        return f"{self.address}: {code}, {detail}"

    def _take_up(self, call: Any) -> None:
        """Let a call be cancelled by `close`, even if that was before."""
        self._call = call
        if self._closed:
            call.cancel()

    def _deliver(self, message: pb.StreamResponse) -> None:
        match message.WhichOneof("kind"):
            case "infer":
                self._take(Answer.from_proto(message.infer))
            case "probe":
                self._take_reply(ProbeReply.from_proto(message.probe))
            case "catalogue":
                self._owner.on_catalogue(self, _catalogue(message.catalogue))
            case "draining":
                self._owner.on_draining(self, Draining.from_proto(message.draining))

    def _take_reply(self, reply: ProbeReply) -> None:
        if reply.id in self._probes:  # else it may have the id of a sample
            self._probes.discard(reply.id)
            self._owner.on_message(self, reply)

    def _take(self, answer: Answer) -> None:
        if answer.id not in self.due:  # another server may have it, and this one has guessed
            return
        self.due.discard(answer.id)
        if answer.kept:
            self.kept.append(answer.id)
        self._owner.on_message(self, answer)

    def _drain(self) -> Iterator[pb.StreamRequest]:
        """Yield messages; gRPC asks for the next one when the stream has taken the last."""
        while True:
            self.is_ready = True
            self._owner.on_ready(self)
            message = self._outbox.get()
            if message is None:
                return
            self.is_ready = False
            if isinstance(message, Probe):
                yield pb.StreamRequest(probe=message.to_proto())
            else:
                whole = pb.StreamRequest()
                message.write_into(whole.infer)
                yield whole


def _catalogue(message: pb.Catalogue) -> Catalogue:
    try:
        return Catalogue.from_proto(message)
    except BundleError:  # what makes no sense announces nothing
        return Catalogue()

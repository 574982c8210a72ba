"""The stream to the edge server: samples and probes out, answers in."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import grpc

from device.channel import open_channel
from offramp.address import Address
from offramp.messages import Answer, Probe, ProbeReply, Request
from protos.offramp.v1 import inference_pb2 as pb
from protos.offramp.v1.edge_pb2_grpc import EdgeStub

__all__ = ["Remote"]

_CONNECT_S = 2.0
_RETRY_S = (0.1, 0.2, 0.5, 1.0)
_STOP = (None, 0.0)

_Outbox = queue.SimpleQueue[tuple[Request | Probe | None, float]]


class Remote:
    """One stream to a server, reopened for as long as it is wanted.

    ``on_message`` gets every `Answer` and `ProbeReply`; ``on_state`` gets True when the stream
    opens and False with a reason when it breaks. Both are called on the connection's own thread.
    """

    def __init__(
        self,
        address: Address,
        on_message: Callable[[Answer | ProbeReply], None],
        on_state: Callable[[bool, str], None],
    ) -> None:
        self.address = address
        self._on_message = on_message
        self._on_state = on_state
        self._outbox: _Outbox | None = None
        self._call: grpc.Call | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="remote", daemon=True)

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()

    def send(self, message: Request | Probe, deadline_s: float) -> bool:
        """Hand over a message; return False if there is no stream now.

        What a stalled stream has not taken by ``deadline_s`` (`time.perf_counter`) is dropped.
        """
        outbox = self._outbox
        if outbox is None:
            return False
        outbox.put((message, deadline_s))
        return True

    def close(self) -> None:
        """End the stream and wait a moment for the thread."""
        self._closing.set()
        call, outbox = self._call, self._outbox
        if outbox is not None:
            outbox.put(_STOP)
        if call is not None:
            call.cancel()  # type: ignore[no-untyped-call]
        if self._thread.ident is not None:
            self._thread.join(timeout=_CONNECT_S + 1)

    def _run(self) -> None:
        attempt = 0
        while not self._closing.is_set():
            opened, reason = self._session()
            if self._closing.is_set():
                return
            self._on_state(False, reason)
            attempt = 0 if opened else attempt + 1
            self._closing.wait(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])

    def _session(self) -> tuple[bool, str]:
        """Run one connection to its end; return whether it opened, and why it ended."""
        opened = False
        with open_channel(self.address) as channel:
            try:
                grpc.channel_ready_future(channel).result(timeout=_CONNECT_S)
            except grpc.FutureTimeoutError:
                return False, f"{self.address} does not answer; is the server running?"
            outbox: _Outbox = queue.SimpleQueue()
            try:
                call = EdgeStub(channel).Stream(_drain(outbox))  # type: ignore[no-untyped-call]
                self._call, self._outbox, opened = call, outbox, True
                self._on_state(True, "")
                for message in call:
                    self._deliver(message)
                return opened, f"{self.address} ended the stream"
            except grpc.RpcError as error:
                code = error.code().name if isinstance(error, grpc.Call) else "UNKNOWN"
                detail = error.details() if isinstance(error, grpc.Call) else str(error)
                return opened, f"{self.address}: {code}, {detail}"
            finally:
                self._outbox = self._call = None
                outbox.put(_STOP)

    def _deliver(self, message: pb.StreamResponse) -> None:
        match message.WhichOneof("kind"):
            case "infer":
                self._on_message(Answer.from_proto(message.infer))
            case "probe":
                self._on_message(ProbeReply.from_proto(message.probe))


def _drain(outbox: _Outbox) -> Iterator[pb.StreamRequest]:
    """Yield the messages that still matter when the stream takes them."""
    while True:
        message, deadline_s = outbox.get()
        if message is None:
            return
        left_s = deadline_s - time.perf_counter()
        if left_s <= 0:
            continue
        if isinstance(message, Probe):
            yield pb.StreamRequest(probe=message.to_proto())
        else:
            yield pb.StreamRequest(infer=replace(message, timeout_s=left_s).to_proto())

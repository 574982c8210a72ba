"""Messages: what crosses the wire, as checked values, and their form in protobuf.

`docs/wire-format.md` and the comments in ``protos/offramp/v1`` are the reference.
"""

from __future__ import annotations

from dataclasses import dataclass

from offramp.errors import AbsentBundleError, InputError, OfframpError
from protos.offramp.v1 import inference_pb2 as pb

__all__ = [
    "LONGEST_DRAIN_S",
    "MAX_TENSORS",
    "STATUS_CODES",
    "TRACE_BYTES",
    "Answer",
    "Draining",
    "Failure",
    "Load",
    "Probe",
    "ProbeReply",
    "Request",
    "Timeline",
    "failure_of",
]

MAX_TENSORS = 256
"""The most tensors that may cross one boundary."""

TRACE_BYTES = 24
"""The length of a request's trace, if it has one."""

LONGEST_DRAIN_S = 60.0
"""The longest that a device waits for what a server still owes when it stops."""

STATUS_CODES = {
    "OK": 0,
    "CANCELLED": 1,
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "DATA_LOSS": 15,
    "UNAUTHENTICATED": 16,
}
"""The codes of google.rpc.Code that Offramp uses."""

_MOST_SEGMENTS = 4096  # of a timeline; what goes beyond is no server's of ours
_MOST_TEXT = 500

_NAMES = {code: name for name, code in STATUS_CODES.items()}
_U32 = (1 << 32) - 1


@dataclass(frozen=True)
class Request:
    """One sample's encoded boundary; ``timeout_s`` is the time left at sending, 0 for no limit.

    ``reference`` is the id of the sample from which frames hold changes, None if none does;
    ``trace`` what joins the spans of both ends, empty if it is not traced (`offramp.tracing`).
    """

    id: int
    digest: str
    cut: int
    frames: tuple[bytes, ...]
    timeout_s: float = 0.0
    plan_id: str = ""
    reference: int | None = None
    trace: bytes = b""

    def to_proto(self) -> pb.InferRequest:
        """Return the message to send."""
        message = pb.InferRequest()
        self.write_into(message)
        return message

    def write_into(self, message: pb.InferRequest) -> None:
        """Fill in an empty message, such as one inside another, which copies what it is given."""
        message.id, message.cut, message.plan_id = self.id, self.cut, self.plan_id
        message.bundle_digest = bytes.fromhex(self.digest)
        message.frames.extend(self.frames)
        message.timeout_us = max(_microseconds(self.timeout_s), 1) if self.timeout_s else 0
        message.reference = 0 if self.reference is None else self.id - self.reference
        message.trace = self.trace

    @classmethod
    def from_proto(cls, message: pb.InferRequest) -> Request:
        """Check a received message; raise `InputError` that names the wrong field."""
        if len(message.bundle_digest) != 32:
            raise InputError(
                f"bundle_digest has {len(message.bundle_digest)} bytes; send the manifest's "
                "SHA-256, 32 bytes"
            )
        if not 1 <= len(message.frames) <= MAX_TENSORS:
            raise InputError(f"there are {len(message.frames)} frames; send 1 to {MAX_TENSORS}")
        if len(message.plan_id) > 64:
            raise InputError(f"plan_id has {len(message.plan_id)} characters; send at most 64")
        if len(message.trace) not in (0, TRACE_BYTES):
            raise InputError(f"trace has {len(message.trace)} bytes; send {TRACE_BYTES} or none")
        if message.reference > message.id:
            raise InputError(
                f"reference {message.reference} of sample {message.id} is before the first one"
            )
        return cls(
            id=message.id,
            digest=message.bundle_digest.hex(),
            cut=message.cut,
            frames=tuple(message.frames),
            timeout_s=message.timeout_us / 1e6,
            plan_id=message.plan_id,
            reference=message.id - message.reference if message.reference else None,
            trace=message.trace,
        )


@dataclass(frozen=True)
class Timeline:
    """The spans of one request on the server, in seconds.

    ``received_s`` is read from a clock of the server's own: only differences mean anything.
    """

    received_s: float = 0.0
    queue_s: float = 0.0
    decode_s: float = 0.0
    segment_s: tuple[float, ...] = ()
    encode_s: float = 0.0
    total_s: float = 0.0
    received_bytes: int = 0

    def to_proto(self) -> pb.Timeline:
        """Return the message to send."""
        return pb.Timeline(
            received_us=round(self.received_s * 1e6),
            queue_us=_microseconds(self.queue_s),
            decode_us=_microseconds(self.decode_s),
            segment_us=[_microseconds(span) for span in self.segment_s],
            encode_us=_microseconds(self.encode_s),
            total_us=_microseconds(self.total_s),
            received_bytes=self.received_bytes,
        )

    @classmethod
    def from_proto(cls, message: pb.Timeline) -> Timeline:
        """Read a received message; of endless segments the first are taken."""
        return cls(
            received_s=message.received_us / 1e6,
            queue_s=message.queue_us / 1e6,
            decode_s=message.decode_us / 1e6,
            segment_s=tuple(span / 1e6 for span in message.segment_us[:_MOST_SEGMENTS]),
            encode_s=message.encode_us / 1e6,
            total_s=message.total_us / 1e6,
            received_bytes=message.received_bytes,
        )


@dataclass(frozen=True)
class Load:
    """How busy the server is; ``cpu_share`` is its recent share of all processors, 0 to 1.

    ``price_s`` is the waiting that one more request like the recent ones adds to all others
    together; its own is ``queue_s``.
    """

    queued: int = 0
    running: int = 0
    queue_s: float = 0.0
    cpu_share: float = 0.0
    price_s: float = 0.0

    def to_proto(self) -> pb.ServerLoad:
        """Return the message to send."""
        return pb.ServerLoad(
            queued=self.queued,
            running=self.running,
            queue_us=_microseconds(self.queue_s),
            cpu_permille=round(min(max(self.cpu_share, 0.0), 1.0) * 1000),
            price_us=_microseconds(self.price_s),
        )

    @classmethod
    def from_proto(cls, message: pb.ServerLoad) -> Load:
        """Read a received message."""
        return cls(
            queued=message.queued,
            running=message.running,
            queue_s=message.queue_us / 1e6,
            cpu_share=min(message.cpu_permille / 1e3, 1.0),
            price_s=message.price_us / 1e6,
        )


@dataclass(frozen=True)
class Failure:
    """Why a sample has no answer: a status name of `STATUS_CODES` and one sentence.

    ``cause`` is a word of a few for the reason, by which refusals are counted where the status does
    not tell them apart; it does not cross the wire.
    """

    status: str
    message: str
    retry_after_s: float = 0.0
    cause: str = ""


@dataclass(frozen=True)
class Answer:
    """The answer to one request: the outputs' frames, or a failure.

    With ``kept`` later samples may go as their changes from this one. ``exit`` is the number of the
    exit behind the cut whose logits the outputs are, None where they are the model's.
    """

    id: int
    outputs: tuple[bytes, ...] = ()
    failure: Failure | None = None
    timeline: Timeline = Timeline()
    load: Load = Load()
    plan_id: str = ""
    kept: bool = False
    exit: int | None = None

    def to_proto(self) -> pb.InferResponse:
        """Return the message to send."""
        message = pb.InferResponse(
            id=self.id,
            outputs=self.outputs,
            timeline=self.timeline.to_proto(),
            load=self.load.to_proto(),
            plan_id=self.plan_id,
            kept=self.kept,
            exit=0 if self.exit is None else self.exit + 1,
        )
        if self.failure:
            message.status.code = STATUS_CODES[self.failure.status]
            message.status.message = self.failure.message
            message.status.retry_after_us = _microseconds(self.failure.retry_after_s)
        return message

    @classmethod
    def from_proto(cls, message: pb.InferResponse) -> Answer:
        """Read a received message; a status code that is not known here counts as INTERNAL."""
        failure = None
        if message.status.code:
            failure = Failure(
                _NAMES.get(message.status.code, "INTERNAL"),
                message.status.message[:_MOST_TEXT],
                message.status.retry_after_us / 1e6,
            )
        return cls(
            id=message.id,
            outputs=tuple(message.outputs),
            failure=failure,
            timeline=Timeline.from_proto(message.timeline),
            load=Load.from_proto(message.load),
            plan_id=message.plan_id,
            kept=message.kept,
            exit=message.exit - 1 if message.exit else None,
        )


@dataclass(frozen=True)
class Probe:
    """A message that measures the link: ``padding_bytes`` bytes without meaning."""

    id: int
    padding_bytes: int = 0

    def to_proto(self) -> pb.ProbeRequest:
        """Return the message to send."""
        return pb.ProbeRequest(id=self.id, padding=bytes(self.padding_bytes))

    @classmethod
    def from_proto(cls, message: pb.ProbeRequest) -> Probe:
        """Read a received message."""
        return cls(id=message.id, padding_bytes=len(message.padding))


@dataclass(frozen=True)
class ProbeReply:
    """The answer to a probe."""

    id: int
    timeline: Timeline = Timeline()
    load: Load = Load()

    def to_proto(self) -> pb.ProbeResponse:
        """Return the message to send."""
        return pb.ProbeResponse(
            id=self.id, timeline=self.timeline.to_proto(), load=self.load.to_proto()
        )

    @classmethod
    def from_proto(cls, message: pb.ProbeResponse) -> ProbeReply:
        """Read a received message."""
        return cls(
            id=message.id,
            timeline=Timeline.from_proto(message.timeline),
            load=Load.from_proto(message.load),
        )


@dataclass(frozen=True)
class Draining:
    """The notice of a server that is about to stop, with the time that this leaves.

    Samples are still taken for ``accepts_s``; those that were are still answered for ``answers_s``.
    What a server says beyond `LONGEST_DRAIN_S` is taken for that.
    """

    accepts_s: float
    answers_s: float

    def to_proto(self) -> pb.Draining:
        """Return the message to send."""
        return pb.Draining(
            accepts_us=_microseconds(self.accepts_s), answers_us=_microseconds(self.answers_s)
        )

    @classmethod
    def from_proto(cls, message: pb.Draining) -> Draining:
        """Read a received message."""
        accepts_s, answers_s = message.accepts_us / 1e6, message.answers_us / 1e6
        return cls(min(accepts_s, LONGEST_DRAIN_S), min(answers_s, LONGEST_DRAIN_S))


def failure_of(error: Exception) -> Failure:
    """Say what an error means to a peer; what is not ours is INTERNAL, without its details."""
    if isinstance(error, OfframpError):
        if isinstance(error, AbsentBundleError):
            return Failure(error.status, str(error), error.retry_after_s, cause="not_in_memory")
        return Failure(error.status, str(error))
    return Failure("INTERNAL", "the server failed on this sample; its log says why")


def _microseconds(seconds: float) -> int:
    return round(min(max(0.0, seconds * 1e6), _U32))  # in this order, NaN becomes 0

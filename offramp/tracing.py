"""Tracing: spans of one sample, made after the fact, for OpenTelemetry (the extra ``otel``).

A sample that is traced carries the trace's id and that of the device's span within which the server
works. So the spans of both ends are one trace, each placed by the clock of its own machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Annotated, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator

from offramp.errors import ConfigError
from offramp.extras import require_extra
from offramp.messages import TRACE_BYTES

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span as OpenSpan

__all__ = ["CollectorUrl", "Recorder", "Span", "Trace", "open_recorder"]

_EXPORT_S = 2.0  # what is under way and what waits are exported at the end, each within this
_QUEUE = 512  # spans; what a collector does not take in time is dropped
_ID_BYTES = 16


class Trace(NamedTuple):
    """A trace's id, and that of the span in it under which the server's spans are."""

    id: int
    span: int

    @classmethod
    def draw(cls, random: Random) -> Trace:
        """Return ids that nobody else has; none is 0."""
        return cls(random.getrandbits(127) + 1, random.getrandbits(63) + 1)

    @classmethod
    def from_bytes(cls, context: bytes) -> Trace | None:
        """Read what a request carries; None if that is empty, or has an id that is 0."""
        if len(context) != TRACE_BYTES:
            return None
        ids = context[:_ID_BYTES], context[_ID_BYTES:]
        trace = cls(*(int.from_bytes(one, "big") for one in ids))
        return trace if all(trace) else None

    def to_bytes(self) -> bytes:
        """Return what a request carries."""
        span_bytes = TRACE_BYTES - _ID_BYTES
        return self.id.to_bytes(_ID_BYTES, "big") + self.span.to_bytes(span_bytes, "big")


@dataclass(frozen=True)
class Span:
    """What was done from when to when, in seconds since 1970; ``failure`` says what went wrong.

    ``id`` is that of the span, None for any.
    """

    name: str
    begin_s: float
    end_s: float
    told: Mapping[str, str | int | float] = field(default_factory=dict)
    failure: str = ""
    id: int | None = None


class Recorder:
    """Records spans of a ``service`` and exports them in the background; not from two threads."""

    def __init__(self, service: str, exporter: SpanExporter) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        class Ids(RandomIdGenerator):
            """Gives the next span and trace the ids that they are to have."""

            span: int | None = None
            trace: int | None = None

            def generate_span_id(self) -> int:
                given, self.span = self.span, None
                return super().generate_span_id() if given is None else given

            def generate_trace_id(self) -> int:
                given, self.trace = self.trace, None
                return super().generate_trace_id() if given is None else given

        self._ids = Ids()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create({"service.name": service}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        queue = BatchSpanProcessor(exporter, _QUEUE, max_export_batch_size=_QUEUE)
        self._provider.add_span_processor(queue)
        self._tracer = self._provider.get_tracer("offramp")

    def begin_trace(self, trace: Trace, whole: Span, parts: Sequence[Span]) -> None:
        """Record the first span of a trace, and its parts."""
        self._ids.trace = trace.id
        self._record(whole, None, parts)

    def join_trace(self, trace: Trace, whole: Span, parts: Sequence[Span]) -> None:
        """Record a span below one of another machine, and its parts."""
        from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

        flags = TraceFlags(TraceFlags.SAMPLED)
        there = SpanContext(trace.id, trace.span, is_remote=True, trace_flags=flags)
        self._record(whole, NonRecordingSpan(there), parts)

    def close(self) -> None:
        """Export what is left, within limits."""
        self._provider.shutdown()

    def _record(self, span: Span, parent: OpenSpan | None, parts: Sequence[Span] = ()) -> None:
        from opentelemetry.context import Context
        from opentelemetry.trace import Status, StatusCode, set_span_in_context

        self._ids.span = span.id
        open_span = self._tracer.start_span(
            span.name,
            set_span_in_context(parent, Context()) if parent else Context(),
            attributes=dict(span.told),
            start_time=round(span.begin_s * 1e9),
        )
        if span.failure:
            open_span.set_status(Status(StatusCode.ERROR, span.failure))
        for part in parts:
            self._record(part, open_span)
        open_span.end(round(span.end_s * 1e9))


def open_recorder(service: str, collector: str) -> Recorder:
    """Return a recorder that exports to a collector by OTLP over gRPC.

    Raises `ConfigError` where the extra is missing.
    """
    require_extra("otel", "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.grpc")
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return Recorder(service, OTLPSpanExporter(endpoint=collector, timeout=_EXPORT_S))


def _check_collector(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise ConfigError(
            f"{url!r} is no collector's address; write http://HOST:PORT, or https:// with TLS"
        )
    return url


CollectorUrl = Annotated[str, AfterValidator(_check_collector)]
"""A setting that names a collector of traces, which speaks OTLP over gRPC."""

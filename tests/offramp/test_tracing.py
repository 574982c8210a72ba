"""Traces as they cross the wire, and spans as OpenTelemetry gets them."""

import sys
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp import extras
from offramp.errors import ConfigError, InputError
from offramp.messages import Request
from offramp.tracing import Recorder, Span, Trace, open_recorder
from protos.offramp.v1 import inference_pb2 as pb

pytest.importorskip("opentelemetry.sdk")
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
    InMemorySpanExporter,
)

TRACE = Trace(0x11223344556677889900AABBCCDDEEFF, 0x0102030405060708)


@pytest.fixture
def exported():
    return InMemorySpanExporter()


@given(st.integers(1, (1 << 128) - 1), st.integers(1, (1 << 64) - 1))
def test_a_trace_is_read_as_it_was_written(number, span):
    context = Trace(number, span).to_bytes()
    assert len(context) == 24
    assert Trace.from_bytes(context) == Trace(number, span)


def test_bytes_are_in_the_order_of_a_traceparent():
    assert TRACE.to_bytes().hex() == "11223344556677889900aabbccddeeff0102030405060708"


@pytest.mark.parametrize("context", [b"", bytes(24), bytes(23) + b"x", b"x" + bytes(23), b"x" * 16])
def test_what_is_no_trace_is_none(context):
    assert Trace.from_bytes(context) is None


def test_drawn_ids_are_never_zero_and_fit():
    drawn = [Trace.draw(Random(seed)) for seed in range(200)]
    assert len(set(drawn)) == 200
    assert all(Trace.from_bytes(trace.to_bytes()) == trace for trace in drawn)


def test_a_request_carries_its_trace_and_one_of_another_length_is_refused():
    request = Request(1, "ab" * 32, 0, (b"f",), trace=TRACE.to_bytes())
    message = pb.InferRequest.FromString(request.to_proto().SerializeToString())
    assert message.SerializeToString()[-26:] == b"\x42\x18" + TRACE.to_bytes()
    assert Request.from_proto(message) == request
    message.trace = b"short"
    with pytest.raises(InputError, match="trace has 5 bytes; send 24 or none"):
        Request.from_proto(message)


def test_spans_of_both_ends_are_one_trace(exported):
    there = InMemorySpanExporter()
    device, server = Recorder("device", exported), Recorder("server", there)
    parts = [Span("head", 10.0, 10.5), Span("link", 10.5, 12.0, id=TRACE.span)]
    device.begin_trace(TRACE, Span("sample", 10.0, 12.0, {"offramp.cut": 2}), parts)
    steps = [Span("queue", 5000.0, 5000.25)]
    server.join_trace(TRACE, Span("serve", 5000.0, 5001.0, failure="INTERNAL: it broke"), steps)
    device.close()
    server.close()
    both = (*exported.get_finished_spans(), *there.get_finished_spans())
    spans = {span.name: span for span in both}
    assert {span.context.trace_id for span in spans.values()} == {TRACE.id}
    assert spans["sample"].parent is None
    assert spans["link"].context.span_id == TRACE.span
    parents = {"head": "sample", "link": "sample", "serve": "link", "queue": "serve"}
    for child, parent in parents.items():
        assert spans[child].parent.span_id == spans[parent].context.span_id
    assert (spans["head"].start_time, spans["head"].end_time) == (10_000_000_000, 10_500_000_000)
    assert spans["queue"].start_time == 5_000_000_000_000
    assert spans["sample"].attributes == {"offramp.cut": 2}
    assert spans["serve"].status.description == "INTERNAL: it broke"
    services = {name: span.resource.attributes["service.name"] for name, span in spans.items()}
    assert services["sample"] == "device"
    assert services["serve"] == "server"


def test_traces_one_after_the_other_do_not_mix(exported):
    recorder = Recorder("device", exported)
    traces = [Trace(number, number + 7) for number in (1, 2)]
    for trace in traces:
        recorder.begin_trace(trace, Span("sample", 1.0, 2.0), [Span("wait", 1.0, 2.0)])
    recorder.close()
    found = [span.context.trace_id for span in exported.get_finished_spans()]
    assert found == [1, 1, 2, 2]


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    there = extras.find_spec
    monkeypatch.setattr(
        extras, "find_spec", lambda name: None if "opentelemetry" in name else there(name)
    )
    with pytest.raises(ConfigError, match=r"opentelemetry.*pip install 'offramp\[otel\]'"):
        open_recorder("device", "http://127.0.0.1:4317")


def test_what_a_missing_package_is_in_may_be_missing_too():
    with pytest.raises(ConfigError, match=r"no_such_package\.part cannot be imported"):
        extras.require_extra("otel", "no_such_package.part")
    assert "no_such_package" not in sys.modules

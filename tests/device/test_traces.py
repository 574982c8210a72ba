"""The spans that a device records of its samples."""

from random import Random

import pytest

from device.result import Result, Spans
from device.settings import AgentSettings
from device.traces import TraceDraw, TraceSink
from offramp.errors import ConfigError
from offramp.settings import load_settings
from offramp.tracing import Trace

TRACE = Trace(7, 9)


class Recorded:
    """A recorder that keeps what it is given."""

    def __init__(self):
        self.traces, self.closed = [], False

    def begin_trace(self, trace, whole, parts):
        self.traces.append((trace, whole, parts))

    def close(self):
        self.closed = True


@pytest.fixture
def recorded():
    return Recorded()


def spans_of(recorded):
    ((trace, whole, parts),) = recorded.traces
    shown = [
        (part.name, part.begin_s - whole.begin_s, part.end_s - whole.begin_s) for part in parts
    ]
    return trace, whole, [(name, round(begin, 6), round(end, 6)) for name, begin, end in shown]


def test_a_sample_that_the_server_answers(recorded):
    spans = Spans(0.002, 0.01, 0.001, 0.02, 0.003, 0.001, 0.004)
    result = Result(
        5, "ok", "server", 3, latency_s=0.041, sent_bytes=700, plan="p1", cut=2, level="affine4",
        spans=spans, trace=TRACE.to_bytes().hex(),
    )  # fmt: skip
    TraceSink(recorded).write(result.to_json())
    trace, whole, parts = spans_of(recorded)
    assert trace == TRACE
    assert (whole.name, whole.failure) == ("sample", "")
    assert whole.end_s - whole.begin_s == pytest.approx(0.041, abs=1e-6)
    assert whole.told == {
        "offramp.sample": 5, "offramp.status": "ok", "offramp.by": "server", "offramp.plan": "p1",
        "offramp.cut": 2, "offramp.level": "affine4", "offramp.sent_bytes": 700,
    }  # fmt: skip
    assert parts == [
        ("wait", 0.0, 0.002),
        ("head", 0.002, 0.012),
        ("encode", 0.012, 0.013),
        ("link", 0.013, 0.041),
    ]
    assert recorded.traces[0][2][-1].id == TRACE.span


def test_a_sample_that_the_device_answers_after_all(recorded):
    result = Result(
        5, "degraded", "exit a", 3, reason="no answer from the server in time", latency_s=0.1,
        sent_bytes=700, spans=Spans(head_s=0.01, fallback_s=0.02), trace=TRACE.to_bytes().hex(),
    )  # fmt: skip
    TraceSink(recorded).write(result.to_json())
    _, whole, parts = spans_of(recorded)
    assert whole.failure == "no answer from the server in time"
    assert parts == [("head", 0.0, 0.01), ("link", 0.01, 0.1), ("fallback", 0.08, 0.1)]


def test_what_is_not_traced_and_what_is_no_sample_leaves_no_span(recorded):
    sink = TraceSink(recorded)
    sink.write(Result(1, "ok", "server", 3).to_json())
    sink.write({"kind": "plan"})
    assert recorded.traces == []
    sink.close()
    assert recorded.closed


def test_so_many_samples_are_traced_as_the_share_says():
    draw = TraceDraw(0.1, Random(1))
    drawn = [draw() for _ in range(5000)]
    traced = [trace for trace in drawn if trace]
    assert 400 < len(traced) < 600
    assert len(set(traced)) == len(traced)
    always = TraceDraw(1.0, Random(1))
    assert all(always() for _ in range(100))


@pytest.mark.parametrize(
    "url", ["127.0.0.1:4317", "ftp://here:1", "http://", "http://a:1/v1/traces"]
)
def test_a_collector_is_a_url(url):
    with pytest.raises(ConfigError, match=r"traces: .* is no collector's address"):
        load_settings(AgentSettings, None, {"traces": url})

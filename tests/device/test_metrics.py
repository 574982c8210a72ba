"""What a device shows to Prometheus, line by line."""

import socket
import statistics
import time
from dataclasses import asdict

import pytest
from click.testing import CliRunner

from device.command import run
from device.metrics import MetricsSink
from device.result import Result, Spans
from offramp.errors import AddressError
from partitioner.conditions import Conditions

CALM = asdict(Conditions(10e6, 0.02, s_per_bit_sigma=1e-9, rtt_sigma_s=0.001))


@pytest.fixture
def sink():
    return MetricsSink()


def result(number=0, status="ok", **given):
    return Result(number, status, **given).to_json()


def plan(cut, level, **conditions):
    return {"kind": "plan", "cut": cut, "level": level, "conditions": {**CALM, **conditions}}


def series(sink, name):
    return {
        tuple(sample.labels.values()): sample.value
        for family in sink.registry.collect()
        for sample in family.samples
        if sample.name == f"offramp_device_{name}"
    }


def test_samples_are_counted_by_where_they_were_answered_and_how(sink):
    answered = {"answer": 3, "latency_s": 0.02, "cut": 2}
    for line in (
        result(by="server", level="affine4", sent_bytes=700, **answered),
        result(by="server", level="affine4", sent_bytes=900, **answered),
        result(by="server", later="exit b", level="affine4", **answered),
        result(by="exit a", **answered),
        result(by="device", **{**answered, "cut": 0}),
        result(
            status="degraded", by="exit a", reason="no answer from the server in time", **answered
        ),
        result(status="dropped", reason="the inbox of 4 was full"),
        result(status="failed", reason="the model takes (28, 28)", cut=2),
    ):
        sink.write(line)
    assert series(sink, "samples_total") == {
        ("2", "end", "server", "ok"): 2,
        ("2", "b", "server", "ok"): 1,
        ("2", "a", "device", "ok"): 1,
        ("0", "end", "device", "ok"): 1,
        ("2", "a", "device", "degraded"): 1,
        ("none", "none", "none", "dropped"): 1,
        ("2", "none", "none", "failed"): 1,
    }
    assert series(sink, "unplanned_samples_total") == {
        ("degraded", "answer_late"): 1,
        ("dropped", "inbox_full"): 1,
        ("failed", "not_taken"): 1,
    }
    assert series(sink, "late_samples_total") == {(): 2}
    assert series(sink, "frame_bytes_sum") == {("2", "affine4"): 1600}
    assert series(sink, "latency_seconds_count") == {("server",): 3, ("device",): 3}


def test_spans_are_those_of_the_result(sink):
    spans = Spans(wait_s=0.001, head_s=0.01, network_s=0.04, queue_s=0.002, tail_s=0.003)
    sink.write(result(by="server", answer=1, cut=1, latency_s=0.056, spans=spans))
    assert series(sink, "span_seconds_sum") == {
        ("wait",): 0.001, ("head",): 0.01, ("network",): 0.04, ("queue",): 0.002, ("tail",): 0.003,
    }  # fmt: skip


def test_plans_are_counted_by_what_had_changed_and_one_is_in_force(sink):
    sink.write(plan(2, "affine4"))
    sink.write(plan(3, "affine4", bandwidth_bps=1e6))
    assert series(sink, "plan") == {("3", "affine4"): 1}
    sink.write(plan(4, None, bandwidth_bps=1e6, reachable=False))
    assert series(sink, "plan") == {("4", "none"): 1}
    sink.write({"kind": "bundle", "digest": "ab", "refused": "it takes other inputs"})
    sink.write(plan(3, "affine4"))
    sink.write({"kind": "bundle", "digest": "cd"})
    sink.write(plan(3, "affine4"))
    assert series(sink, "plan_changes_total") == {
        ("start",): 1, ("bandwidth",): 1, ("server_lost",): 1, ("server_back",): 1, ("bundle",): 1,
    }  # fmt: skip


def test_nothing_is_believed_before_the_first_load(sink):
    assert series(sink, "bandwidth_bits_per_second") == {}
    sink.write({"kind": "load", "cpu_share": 0.1, **CALM})
    assert series(sink, "bandwidth_bits_per_second") == {(): 10e6}
    assert series(sink, "bit_sigma_seconds") == {(): 1e-9}
    assert series(sink, "rtt_seconds") == {(): 0.02}
    assert series(sink, "rtt_sigma_seconds") == {(): 0.001}
    assert series(sink, "server_reachable") == {(): 1}


def test_connection_and_breaker(sink):
    assert series(sink, "connected") == {(): 0}
    sink.write({"kind": "link", "up": True, "reason": ""})
    assert series(sink, "connected") == {(): 1}
    sink.write({"kind": "link", "up": False, "reason": "gone"})
    assert series(sink, "connected") == {(): 0}
    assert series(sink, "disconnections_total") == {(): 1}
    is_open = [False]
    sink.read_breaker(lambda: is_open[0])
    assert series(sink, "breaker_open") == {(): 0}
    is_open[0] = True
    assert series(sink, "breaker_open") == {(): 1}


def test_other_lines_count_as_nothing(sink):
    before = list(sink.registry.collect())
    for kind in ("run", "drift", "thresholds"):
        sink.write({"kind": kind})
    shown = [(f.name, [s.value for s in f.samples]) for f in before if "offramp" in f.name]
    after = sink.registry.collect()
    assert shown == [(f.name, [s.value for s in f.samples]) for f in after if "offramp" in f.name]


@pytest.mark.timed
def test_a_sample_costs_microseconds(sink):
    spans = Spans(0.001, 0.01, 0.001, 0.04, 0.002, 0.001, 0.003)
    line = result(
        by="server", answer=1, cut=1, level="raw", sent_bytes=9, latency_s=0.1, spans=spans
    )
    times_s = []
    for _ in range(500):
        began_s = time.perf_counter()
        sink.write(line)
        times_s.append(time.perf_counter() - began_s)
    assert statistics.median(times_s) < 200e-6


def test_an_address_that_is_taken_ends_the_run_at_once(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        (tmp_path / "bundle.offramp").touch()
        (tmp_path / "samples.npy").touch()
        source = str(tmp_path / "samples.npy")
        options = [str(tmp_path / "bundle.offramp"), "--source", source, "--metrics", at]
        ended = CliRunner().invoke(run, options)
    assert isinstance(ended.exception, AddressError)
    assert f"metrics cannot be shown on {at}: Address already in use" in str(ended.exception)

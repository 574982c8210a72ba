"""Sinks: what people see of a run, and what files of it hold."""

import contextlib
import io
import itertools
import json
import os
import resource

import pytest

from device.sinks import JsonLinesSink, TerminalSink
from offramp.errors import ConfigError

OPENING = {"kind": "run", "model": "digits", "bundle_origin": "file", "slowdown": 1.0}


def result(at, **given):
    line = {"kind": "result", "id": at, "status": "ok", "by": "server", "latency_s": 0.02}
    return {**line, **given}


def told(*lines):
    stream = io.StringIO()
    sink = TerminalSink(None, stream)
    for line in lines:
        sink.write(line)
    sink.close()
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("at_s", [-0.04, -0.0, -2.9, 0.04])
def test_no_time_is_before_the_start(at_s):
    up = {"kind": "link", "at_s": at_s, "up": True, "reason": ""}
    assert told(up) == ["    0.0 s  connected"]


def test_plans_and_connections_are_told_with_their_reasons():
    plan = {"kind": "plan", "at_s": 1.26, "id": "p2", "cut": 8, "level": None, "reason": "too slow"}
    assert told(
        OPENING,
        {"kind": "link", "at_s": 1.0, "up": False, "reason": "[reset]"},
        plan,
        {**plan, "at_s": 61.0, "id": "p3", "cut": 2, "level": "affine4", "reason": "it is back"},
    ) == [
        "    1.0 s  not connected: [reset]",
        "    1.3 s  plan p2: cut 8, sends nothing; too slow",
        "   61.0 s  plan p3: cut 2, sends affine4; it is back",
    ]


def test_drift_is_a_warning_that_says_what_moved_and_what_to_do():
    drift = {"kind": "drift", "at_s": 7.0, "plan": "p2", "name": "share that leaves at exit 0"}
    (line,) = told({**drift, "low": 0.4, "high": 0.5, "recent": 0.2222, "samples": 60})
    assert line == (
        "    7.0 s  warning: the samples are no longer like those that the bundle's plans were "
        "tested on: share that leaves at exit 0 is 0.222 of late, in calibration it was 0.400 to "
        "0.500; calibrate it on samples like these"
    )


def test_a_slower_board_is_announced():
    (line,) = told({**OPENING, "slowdown": 8.0})
    assert "a board 8 times slower; --slowdown 1 uses it as it is" in line


def test_where_a_bundle_came_from_is_told_unless_it_was_named():
    fetched = {"fetched_bytes": 2_345_678, "fetch_s": 1.25}
    assert told({**OPENING, "bundle_origin": "server", **fetched}) == [
        "fetched digits: 2.35 MB in 1.25 s"
    ]
    assert told({**OPENING, "bundle_origin": "server", "fetched_bytes": 0, "fetch_s": 0.1}) == [
        "running digits, which the server has and is here already"
    ]
    assert told({**OPENING, "bundle_origin": "cache", "bundle_reason": "no answer"}) == [
        "running digits as fetched earlier: no answer"
    ]


def test_the_commonest_reasons_stand_at_the_end():
    why = {"link": "no connection", "late": "too little time", "bundle": "NOT_FOUND: bundle 12ab"}
    lines = [result(at, status="degraded", reason=why["bundle"]) for at in range(5)]
    lines += [result(at, status="degraded", reason=why["link"]) for at in range(5, 8)]
    lines += [result(at, status="degraded", reason=why["late"]) for at in range(8, 10)]
    lines += [result(10, status="dropped", reason="the inbox was full"), result(11)]
    assert told(*lines)[1:] == [
        "not as planned, 5 times: NOT_FOUND: bundle 12ab",
        "not as planned, 3 times: no connection",
        "not as planned, 2 times: too little time",
    ]


def test_the_last_line_counts_all_samples_and_describes_the_recent_ones():
    lines = [{"kind": "load", "at_s": 1.0, "bandwidth_bps": 12.34e6}]
    lines += [result(at, by="exit a", latency_s=9.0) for at in range(10)]  # not recent at the end
    lines += [result(at, latency_s=0.01) for at in range(10, 47)]
    lines += [result(at, by="device", status="degraded", latency_s=0.1) for at in range(47, 59)]
    lines += [{"kind": "result", "id": 59, "status": "dropped"}]
    assert told(*lines) == [
        "60 samples: 47 ok, 12 degraded, 1 dropped; the last ones: "
        "p50 10 ms; device 24%, dropped 2%, server 74%; 12.3 Mbit/s"
    ]


def test_a_run_of_nothing_says_nothing():
    assert told() == []


def test_json_lines_are_there_at_once_and_below_new_folders(tmp_path):
    path = tmp_path / "new" / "run.jsonl"
    sink = JsonLinesSink(str(path))
    sink.write(result(0))
    assert json.loads(path.read_text()) == result(0)
    sink.close()


def test_standard_output_stays_open(capsys):
    sink = JsonLinesSink("-")
    sink.write({"kind": "load"})
    sink.close()
    print("still open")  # noqa: T201
    assert capsys.readouterr().out == '{"kind": "load"}\nstill open\n'


@pytest.mark.parametrize(
    ("name", "said"), [("", "is a folder; name a file"), ("file/x", r"cannot be written \(")]
)
def test_what_cannot_be_written_is_named(tmp_path, name, said):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=rf"{name}: {said}"):
        JsonLinesSink(str(tmp_path / name))


def test_a_disk_that_fills_up_is_named():
    sink = JsonLinesSink("/dev/full")
    with pytest.raises(ConfigError, match=r"/dev/full: cannot be written \(No space left"):
        sink.write(result(0))


def test_a_run_without_a_result_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text("earlier\n")
    sink = JsonLinesSink(str(path))
    sink.write({"kind": "run"})
    assert path.read_text() == "earlier\n"
    sink.close()
    assert path.read_text() == "earlier\n"
    assert list(tmp_path.iterdir()) == [path]


def test_the_first_result_takes_the_place_of_what_was_there(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text("earlier\n")
    (tmp_path / "link.jsonl").symlink_to(path)
    sink = JsonLinesSink(str(tmp_path / "link.jsonl"))
    lines = [{"kind": "run"}, result(0), {"kind": "load"}]
    for line in lines:
        sink.write(line)
    assert [json.loads(text) for text in path.read_text().splitlines()] == lines
    sink.close()
    assert sorted(tmp_path.iterdir()) == [tmp_path / "link.jsonl", path]


def test_a_device_is_written_as_it_stands(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    sink = JsonLinesSink(str(tmp_path / "pipe"))
    sink.write({"kind": "run"})
    assert os.read(reader, 100) == b'{"kind": "run"}\n'
    sink.close()
    os.close(reader)


@contextlib.contextmanager
def full_disk():
    """Let no file grow above 1,000 bytes; not even that to which tests are reported."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_cannot_grow_ends_with_a_whole_line(tmp_path):
    sink = JsonLinesSink(str(tmp_path / "run.jsonl"))
    at = itertools.count()

    def fill():
        while True:
            sink.write(result(next(at)))

    said = r"run.jsonl: cannot be written \(File too large\)"
    with full_disk():
        with pytest.raises(ConfigError, match=said):
            fill()
        sink.close()
    lines = (tmp_path / "run.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == list(range(next(at) - 1))


def test_what_is_too_long_before_any_result_leaves_what_was_there(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text("earlier\n")
    sink = JsonLinesSink(str(path))
    with full_disk():
        with pytest.raises(ConfigError, match="cannot be written"):
            sink.write({"kind": "run", "model": "x" * 2000})
        sink.close()
    assert path.read_text() == "earlier\n"
    assert list(tmp_path.iterdir()) == [path]

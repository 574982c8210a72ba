"""The demo as a user starts it, with tiny counts."""

import functools
import os
import signal
import subprocess
import time
import uuid

import psutil
import pytest

from offramp.demo.processes import offramp_command
from offramp.demo.settings import STRATEGIES, default_bundle
from offramp.report.runs import read_run

BUNDLE = default_bundle()

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not BUNDLE.exists(), reason="the embedded bundle is not there"),
]


@pytest.fixture
def start(tmp_path):
    """Starts a demo; whatever outlives the test fails it, and is ended."""
    mark = uuid.uuid4().hex
    words = ["--quick", "--samples", "40", "--table-samples", "20", "--bundle", BUNDLE]
    demos = []

    def begin(*more):
        command = offramp_command("demo", *words, "--out", tmp_path / "run", *more)
        environment = {**os.environ, "OFFRAMP_TEST_MARK": mark, "COLUMNS": "120"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        # A shell's background jobs ignore SIGINT, and so would their children.
        heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        demos.append(
            subprocess.Popen(command, env=environment, text=True, preexec_fn=heed, **pipes)
        )
        return demos[-1]

    yield begin
    for demo in demos:
        if demo.poll() is None:
            demo.terminate()
        demo.communicate(timeout=20)
    survivors = [process for process in psutil.process_iter() if is_marked(process, mark)]
    for process in survivors:
        process.kill()
    assert survivors == []


def is_marked(process, mark):
    try:
        return process.environ().get("OFFRAMP_TEST_MARK") == mark
    except psutil.Error:
        return False


def test_the_demo_ends_with_a_table_and_a_report(start, tmp_path):
    demo = start()
    out, err = demo.communicate(timeout=120)
    assert (demo.returncode, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert " ".join(STRATEGIES) in lines
    for begin in ("0.0 s link good: 40 Mbit/s", "0.0 s plan: cut", "right in time", "latency p95"):
        assert any(line.startswith(begin) for line in lines), begin
    assert any("emulated" in line and "times slower" in line for line in lines)
    report = tmp_path / "run" / "report.html"
    assert lines[-1] == f"report: {report}"
    assert report.read_text().count("<svg") == 5
    for name, count in [("main", 40), *((name, 20) for name in STRATEGIES)]:
        run = read_run(tmp_path / "run" / f"{name}.jsonl")
        assert len(run.results) == count
        assert [phase.name for phase in run.phases] == ["good", "poor", "outage", "back"]
        assert run.opening.strategy == ("offramp" if name == "main" else name)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_stopped_leaves_nothing_behind(start, tmp_path, number):
    demo = start("--samples", "400")
    run_file = tmp_path / "run" / "main.jsonl"
    until_s = time.monotonic() + 60
    while not run_file.exists() and demo.poll() is None and time.monotonic() < until_s:
        time.sleep(0.05)
    demo.send_signal(number)
    out, err = demo.communicate(timeout=20)
    assert demo.returncode != 0
    assert "Traceback" not in out + err


def test_a_link_file_that_cannot_be_written_is_one_sentence(start, tmp_path):
    (tmp_path / "run").write_text("in the way")
    demo = start()
    _, err = demo.communicate(timeout=30)
    assert demo.returncode == 2
    assert err.startswith("offramp: ")
    assert err.count("\n") == 1

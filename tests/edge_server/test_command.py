"""The command ``offramp serve`` as a process of its own."""

from __future__ import annotations

import json
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner
from grpc_health.v1 import health_pb2, health_pb2_grpc

from edge_server.command import serve
from offramp.bundle import Bundle
from offramp.logs import IDS
from offramp.messages import Answer
from protos.offramp.v1 import edge_pb2_grpc
from protos.offramp.v1 import inference_pb2 as pb

pytestmark = pytest.mark.e2e

Start = Callable[..., "subprocess.Popen[str]"]
_MAIN = "from offramp.cli import main; main()"


@pytest.fixture
def start() -> Iterator[Start]:
    processes: list[subprocess.Popen[str]] = []

    def run(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, "serve", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


def ready_address(process: subprocess.Popen[str]) -> str:
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    threading.Thread(
        target=lambda stream: lines.put(stream.readline()), args=(process.stdout,), daemon=True
    ).start()
    words = lines.get(timeout=20).split()
    assert words[:2] == ["listening", "on"]
    return words[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_it_is_told_to_stop(
    start: Start, bundle: Bundle, bundle_file: Path, sample: Any, number: signal.Signals
) -> None:
    process = start(bundle_file, "--listen", "127.0.0.1:0")
    address = ready_address(process)
    assert not address.endswith(":0")
    with grpc.insecure_channel(address) as channel:
        request = sample.request(1).to_proto()
        stub: Any = edge_pb2_grpc.EdgeStub(channel)  # type: ignore[no-untyped-call]
        sample.check(Answer.from_proto(stub.Infer(request, timeout=10)))
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=10).status == 1
    process.send_signal(number)
    rest, logged = process.communicate(timeout=15)
    assert (process.returncode, rest) == (0, "")
    lines = logged.splitlines()
    assert bundle.digest in lines[0]
    assert [line.split(": ")[-1] for line in lines[-1:]] == ["stopped"]
    assert all(" INFO edge_server." in line for line in lines)


def test_the_log_as_json_names_what_it_is_about(
    start: Start, bundle: Bundle, bundle_file: Path, sample: Any
) -> None:
    logs = ("--log-format", "json", "--log-level", "debug")
    process = start(bundle_file, "--listen", "127.0.0.1:0", *logs)
    with grpc.insecure_channel(ready_address(process)) as channel:
        stub: Any = edge_pb2_grpc.EdgeStub(channel)  # type: ignore[no-untyped-call]
        stub.Infer(sample.request(1, 7, plan_id="p3").to_proto(), timeout=10)
        sent = pb.StreamRequest(infer=replace(sample.request(2, 8), cut=9).to_proto())
        answers = stub.Stream(iter([sent]), timeout=10)
        assert [message.WhichOneof("kind") for message in answers] == ["catalogue", "infer"]
    process.send_signal(signal.SIGTERM)
    _, logged = process.communicate(timeout=15)
    lines = [json.loads(line) for line in logged.splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    (serving,) = (line for line in lines if line["message"].startswith("serving"))
    assert serving["bundle"] == bundle.digest
    ids = {"client": "ipv4:127.0.0.1", "bundle": bundle.digest}
    told = [
        {name: line[name] for name in IDS if name in line} for line in lines if "sample" in line
    ]
    assert told == [
        {"stream": 0, "sample": 7, "plan": "p3", **ids},
        {"stream": 1, "sample": 8, "plan": "", **ids},
    ]


def test_port_in_use(start: Start, bundle_file: Path, bundle: Bundle) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        process = start(bundle_file, "--listen", listen)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (7, "")
    assert (
        err == f"offramp: cannot listen on {listen}: Address already in use; choose another one\n"
    )


def test_foreseen_errors_end_in_one_line(
    start: Start, tmp_path: Path, bundle_file: Path, bundle: Bundle
) -> None:
    damaged = tmp_path / "damaged.offramp"
    damaged.write_bytes(bundle_file.read_bytes()[:-200])
    settings = tmp_path / "server.yaml"
    settings.write_text("bundels: [x]\n")
    started = {
        "missing": (2, start(tmp_path / "missing.offramp")),
        "damaged": (4, start(damaged)),
        "no-such-engine": (2, start(bundle_file, "--backend", "no-such-engine")),
        "bundels": (2, start("--settings", settings)),
        "bundles": (2, start()),
        "HOST:PORT": (2, start(bundle_file, "--listen", "here")),
    }
    for word, (code, process) in started.items():
        out, err = process.communicate(timeout=30)
        assert (word, process.returncode, out) == (word, code, "")
        assert err.startswith("offramp: "), word
        assert word in err
        assert err.count("\n") == 1


def test_help_names_every_option() -> None:
    said = CliRunner().invoke(serve, ["--help"]).output
    for option in ("BUNDLE...", "--listen", "--metrics", "--traces", "--backend", "--threads",
                   "--workers", "--grace", "--settings", "--log-level",
                   "--log-format"):  # fmt: skip
        assert option in said


def test_the_command_is_light_to_import() -> None:
    code = (
        "import sys, edge_server.command as c; print('grpc' in sys.modules, 'numpy' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True
    )
    assert said.stdout.split() == ["False", "False"]

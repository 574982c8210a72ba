"""The command ``offramp top`` as a process, in a pipe and on a terminal."""

import os
import pty
import signal
import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry, Gauge

from offramp.address import Address
from offramp.exposition import MetricsEndpoint

pytestmark = pytest.mark.e2e

COMMAND = [sys.executable, "-c", "from offramp.cli import main; main()", "top"]
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


@pytest.fixture
def endpoint():
    registry = CollectorRegistry()
    Gauge("offramp_server_streams", "Streams that are open.", registry=registry).set(3)
    endpoint = MetricsEndpoint(Address("127.0.0.1", 0), registry)
    yield str(endpoint.address)
    endpoint.close()


def test_one_view_in_a_pipe_tells_who_is_gone(endpoint):
    command = [*COMMAND, endpoint, "127.0.0.1:1", "--once", "--interval", "0.1"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        f"server {endpoint}",
        "0 samples/s   3 streams",
        "",
        "",
        "gone 127.0.0.1:1",
        "http://127.0.0.1:1/metrics does not answer: Connection refused",
    ]


@pytest.mark.parametrize(
    "wrong", [["here"], ["file:///etc/passwd"], [], ["a:1", "--interval", "0"]]
)
def test_what_is_wrong_is_one_sentence(wrong):
    ended = subprocess.run([*COMMAND, *wrong], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("offramp: ")
    assert ended.stderr.count("\n") == 1


def test_ctrl_c_ends_it_and_gives_the_terminal_back(endpoint):
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, endpoint, "--interval", "0.1"], stdout=follower, stderr=follower, stdin=follower
    ) as process:
        os.close(follower)
        seen = read_until(leader, b"3 streams", b"")
        assert ENTER in seen
        process.send_signal(signal.SIGINT)
        seen = read_until(leader, LEAVE, seen)
        assert process.wait(timeout=30) == 0
    os.close(leader)
    assert b"Traceback" not in seen


def read_until(leader, wanted, seen):
    while wanted not in seen:
        seen += os.read(leader, 4096)
    return seen

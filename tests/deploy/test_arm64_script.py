"""The check on another kind of machine: what it builds, compares and leaves behind."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

DOCKER = """
case "$*" in
  "buildx inspect") echo "Platforms: {platforms}" ;;
  "image inspect"*) exit {local_base} ;;
  *"--entrypoint uname"*) echo {machine} ;;
  logs*) echo "listening on 0.0.0.0:50051" ;;
  *"name offramp-arm64-"*"-arm64 "*board.py*) exit {board} ;;
esac
"""
LAST = ("docker rm --force", "docker network rm offramp-arm64-")


@pytest.fixture
def make_board_machine(make_machine: Callable[..., Any]) -> Callable[..., Any]:
    def make(*, compared: int = 0, **changes: object) -> Any:
        usual = {
            "platforms": "linux/amd64, linux/arm64",
            "local_base": 1,
            "machine": "aarch64",
            "board": 0,
        }
        machine = make_machine("arm64", docker=DOCKER.format(**{**usual, **changes}))
        machine.tool("python3", f"{machine.note}\nexit {compared}")
        return machine

    return make


def calls(machine: Any, word: str) -> list[str]:
    return [call for call in machine.calls if word in call]


@pytest.mark.parametrize("compared", [0, 1])
def test_both_devices_answer_one_server_and_the_comparison_decides(
    make_board_machine: Callable[..., Any], compared: int
) -> None:
    machine = make_board_machine(compared=compared)
    ended = machine.run()
    assert ended.returncode == compared, ended.stdout + ended.stderr
    assert "says of its machine: aarch64" in ended.stdout
    server, *devices = calls(machine, "docker run --platform linux/")[-3:]
    assert "--detach --network-alias server offramp-edge-server:amd64" in server
    assert [call.split("linux/")[1].split()[0] for call in devices] == ["amd64", "arm64"]
    assert devices[0].endswith("board.py server:50051 24")
    assert devices[1].endswith("board.py server:50051 24 /amd64.jsonl")
    assert "/amd64:/amd64.jsonl:ro " in devices[1]
    (compare,) = calls(machine, "python3 deploy/same_answers.py")
    assert compare.endswith("/arm64")
    assert machine.calls.index(compare) > machine.calls.index(devices[-1])


@pytest.mark.parametrize("local_base", [0, 1])
def test_base_is_the_local_one_where_there_is_one(
    make_board_machine: Callable[..., Any], local_base: int
) -> None:
    machine = make_board_machine(local_base=local_base)
    machine.run()
    builds = [call.split("--target ")[1] for call in calls(machine, "docker build --quiet")]
    usual, board = "BASE=python:3.11-slim", ("BASE=arm64/", "BASE=python")[local_base]
    assert [build.split()[0] for build in builds] == ["edge-server", "device", "device"]
    assert all(f"linux/amd64 --build-arg {usual}" in build for build in builds[:2])
    assert f"linux/arm64 --build-arg {board}" in builds[2]


def test_containers_are_confined(make_board_machine: Callable[..., Any]) -> None:
    machine = make_board_machine()
    machine.run()
    assert any("network create --internal" in call for call in machine.calls)
    for call in calls(machine, "docker run --platform"):
        assert " --read-only " in call
        assert " --cap-drop ALL --security-opt no-new-privileges " in call
        assert " --network offramp-arm64-" in call


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"platforms": "linux/amd64"}, 0, "skipped: this engine runs no arm64 programs"),
        ({"machine": "x86_64"}, 1, "says of its machine: x86_64"),
        ({"board": 6}, 6, r"device on arm64 took \d+ s, status 6"),
    ],
)
def test_nothing_is_compared_that_did_not_run(
    make_board_machine: Callable[..., Any], changes: dict[str, Any], status: int, said: str
) -> None:
    machine = make_board_machine(**changes)
    ended = machine.run()
    assert ended.returncode == status
    assert re.search(said, ended.stdout)
    assert not calls(machine, "same_answers")
    assert all(call.startswith(word) for call, word in zip(machine.calls[-2:], LAST, strict=True))

"""The check that runs the demo: a skip says why, a failure passes through, down always runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

HELPERS_ENGINE = '[ "$DOCKER_HOST" = unix:///x/y ]'
"""What a docker does that has no engine but the helper's."""


@pytest.fixture
def make_demo_machine(make_machine: Callable[..., Any]) -> Callable[..., Any]:
    def make(*, make_status: int = 0, make_says: str = "", **options: str) -> Any:
        machine = make_machine("compose", **options)
        machine.tool("make", f"{machine.note}\necho '{make_says}'\nexit {make_status}")
        return machine

    return make


@pytest.mark.parametrize("script", ["compose", "arm64"])
def test_skip_says_why(make_machine: Callable[..., Any], script: str) -> None:
    machine = make_machine(script, docker=HELPERS_ENGINE)
    ended = machine.run()
    assert ended.returncode == 0
    assert "skipped: no Docker engine answers at its usual socket, and no local h" in ended.stdout
    assert set(machine.calls) == {"docker info"}
    elsewhere = machine.run(DOCKER_HOST="tcp://elsewhere:1").stdout
    assert "skipped: no Docker engine answers at tcp://elsewhere:1, and" in elsewhere


def test_the_engine_is_where_the_helper_says(make_demo_machine: Callable[..., Any]) -> None:
    helper = "echo '[3s] export DOCKER_HOST=unix:///x/y'"
    machine = make_demo_machine(docker=HELPERS_ENGINE, helper=helper)
    ended = machine.run()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert machine.calls[-7:] == [
        *("local-docker up", "docker info", "local-docker images 3.11"),
        *("docker compose build --quiet", "make compose"),
        *("docker compose down --volumes --remove-orphans --timeout 5", "local-docker down"),
    ]


@pytest.mark.parametrize(
    ("helper", "status", "said"),
    [
        ("echo broken; exit 3", 3, "broken"),
        ("echo nothing", 1, "the engine at '' does not answer"),
        ("echo export DOCKER_HOST=unix:///other", 1, "the engine at 'unix:///other' does not"),
    ],
)
def test_a_helper_that_starts_no_engine_is_a_failure(
    make_demo_machine: Callable[..., Any], helper: str, status: int, said: str
) -> None:
    machine = make_demo_machine(docker=HELPERS_ENGINE, helper=helper)
    ended = machine.run()
    assert ended.returncode == status
    assert said in ended.stdout
    assert "make compose" not in machine.calls
    assert machine.calls[-1] == "local-docker down"


@pytest.mark.parametrize(
    ("status", "says", "tries"),
    [
        (0, "", 1),
        (2, "a sample failed", 1),
        (2, "device-1 | ==> only dropped samples have no answer", 3),
        (0, "device-1 | ==> only dropped samples have no answer", 1),
    ],
)
def test_status_passes_through_and_down_always_runs(
    make_demo_machine: Callable[..., Any], status: int, says: str, tries: int
) -> None:
    machine = make_demo_machine(make_status=status, make_says=says)
    ended = machine.run()
    assert ended.returncode == status
    assert ended.stdout.count(says or "took") >= tries
    said = re.findall(
        rf"compose demo: demo.* took \d+ s, status {status}$", ended.stdout, re.MULTILINE
    )
    assert len(said) == tries
    build, *demos, down = machine.calls[-2 - tries :]
    assert build == "docker compose build --quiet"
    assert demos == ["make compose"] * tries
    assert down.startswith("docker compose down")


@pytest.mark.parametrize(
    ("taken_s", "says", "status"),
    [
        (100, "only dropped samples have no answer", 0),
        (0, "only dropped samples have no answer", 2),
        (100, "a sample failed", 2),
    ],
)
def test_dropped_samples_are_not_judged_while_the_machine_is_taken_away(
    make_demo_machine: Callable[..., Any], taken_s: int, says: str, status: int
) -> None:
    machine = make_demo_machine(make_status=2, make_says=says)
    make = (machine.tools / "make").read_text()
    later = f"echo 'cpu  1 2 3 4 5 6 7 {8 + 100 * taken_s} 0 0' > {machine.stat}"
    (machine.tools / "make").write_text(make.replace("exit 2", f"{later}\nexit 2"))
    ended = machine.run()
    assert ended.returncode == status
    assert ("ran, but not judged" in ended.stdout) == (status == 0)

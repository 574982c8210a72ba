"""The check that runs the demo: a skip says why, a failure passes through, down always runs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
REPOSITORY = Path(__file__).resolve().parents[2]


class Machine:
    """A copy of the script beside a docker and a make that only note how they are called."""

    def __init__(
        self, folder: Path, *, engine: bool, make_status: int = 0, helper: str = ""
    ) -> None:
        self.folder = folder
        self.tools = folder / "bin"
        self.tools.mkdir()
        (folder / "repository/.ci").mkdir(parents=True)
        shutil.copy(REPOSITORY / ".ci/compose", folder / "repository/.ci/compose")
        note = f'echo "$(basename "$0") $*" >> {folder}/calls'
        refuse = "" if engine else '[ "$DOCKER_HOST" = unix:///x/y ]'
        self._tool("docker", f"{note}\n{refuse}")
        self._tool("id", "echo 0")
        self._tool("make", f"{note}\nexit {make_status}")
        if helper:
            (folder / "shared/tools").mkdir(parents=True)
            self._tool("../shared/tools/local-docker", f'{note}\n[ "$1" != up ] || {{ {helper}; }}')

    def _tool(self, name: str, body: str) -> None:
        path = self.tools / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.folder / "repository/.ci/compose"],
            env={"PATH": f"{self.tools}:/usr/bin:/bin", **environment},
            capture_output=True,
            text=True,
        )

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


def test_skip_says_why(tmp_path: Path) -> None:
    machine = Machine(tmp_path, engine=False)
    ended = machine.run()
    assert ended.returncode == 0
    assert "skipped: no Docker engine answers at its usual socket, and no local h" in ended.stdout
    assert "make compose" not in machine.calls
    elsewhere = machine.run(DOCKER_HOST="tcp://elsewhere:1").stdout
    assert "skipped: no Docker engine answers at tcp://elsewhere:1, and" in elsewhere


def test_the_engine_is_where_the_helper_says(tmp_path: Path) -> None:
    machine = Machine(tmp_path, engine=False, helper="echo '[3s] export DOCKER_HOST=unix:///x/y'")
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
    tmp_path: Path, helper: str, status: int, said: str
) -> None:
    machine = Machine(tmp_path, engine=False, helper=helper)
    ended = machine.run()
    assert ended.returncode == status
    assert said in ended.stdout
    assert "make compose" not in machine.calls
    assert machine.calls[-1] == "local-docker down"


@pytest.mark.parametrize("status", [0, 2])
def test_status_passes_through_and_down_always_runs(tmp_path: Path, status: int) -> None:
    machine = Machine(tmp_path, engine=True, make_status=status)
    ended = machine.run()
    assert ended.returncode == status
    assert f"demo took 0 s, status {status}" in ended.stdout
    build, demo, down = machine.calls[-3:]
    assert build == "docker compose build --quiet"
    assert demo == "make compose"
    assert down.startswith("docker compose down")

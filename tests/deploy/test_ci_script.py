"""The check that runs the demo: a skip says why, a failure passes through, down always runs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


class Machine:
    """A copy of the script beside a docker and a make that only note how they are called."""

    def __init__(self, folder: Path, *, engine: bool, make_status: int = 0) -> None:
        self.folder = folder
        self.tools = folder / "bin"
        self.tools.mkdir()
        (folder / "repository/.ci").mkdir(parents=True)
        shutil.copy(REPOSITORY / ".ci/compose", folder / "repository/.ci/compose")
        note = f'echo "$(basename "$0") $*" >> {folder}/calls'
        refuse = "" if engine else "exit 1"
        self._tool("docker", f"{note}\n{refuse}")
        self._tool("make", f"{note}\nexit {make_status}")

    def _tool(self, name: str, body: str) -> None:
        path = self.tools / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def run(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.folder / "repository/.ci/compose"],
            env={"PATH": f"{self.tools}:/usr/bin:/bin"},
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
    assert "skipped: no Docker engine answers, and no local helper" in ended.stdout
    assert "make compose" not in machine.calls


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

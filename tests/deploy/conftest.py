"""A machine on which the checks of `.ci` run with tools that only note how they are called."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


class Machine:
    """A copy of a script beside a docker and others that do nothing.

    ``docker`` is what the false docker does besides, in shell; ``helper`` what the local helper
    does for `up`, where there is one. ``stat`` says that no other machine has its processors.
    """

    def __init__(self, folder: Path, script: Path, *, docker: str = "", helper: str = "") -> None:
        self.folder = folder
        self.tools = folder / "bin"
        self.script = folder / "repository/.ci" / script.name
        self.tools.mkdir()
        self.script.parent.mkdir(parents=True)
        for path in (script, script.with_name("engine.sh")):
            shutil.copy(path, self.script.parent)
        self.note = f'echo "$(basename "$0") $*" >> {folder}/calls'
        self.tool("docker", f"{self.note}\n{docker}")
        self.tool("id", "echo 0")
        self.stat = folder / "stat"
        self.stat.write_text("cpu  1 2 3 4 5 6 7 8 0 0\n")
        if helper:
            (folder / "shared/tools").mkdir(parents=True)
            up = f'[ "$1" != up ] || {{ {helper}; }}'
            self.tool("../shared/tools/local-docker", f"{self.note}\n{up}")

    def tool(self, name: str, body: str) -> None:
        """Put a program on the path."""
        path = self.tools / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        return subprocess.run(
            [self.script],
            env={"PATH": f"{self.tools}:/usr/bin:/bin", "PROC_STAT": str(self.stat), **environment},
            capture_output=True,
            text=True,
        )

    @property
    def calls(self) -> list[str]:
        """The calls of all tools so far, with their options."""
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def make_machine(tmp_path: Path, repository: Path) -> Callable[..., Machine]:
    """Makes a machine for the script of this name."""

    def make(script: str, **options: str) -> Machine:
        return Machine(tmp_path, repository / ".ci" / script, **options)

    return make

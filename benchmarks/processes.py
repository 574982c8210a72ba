"""Processes that a benchmark starts and ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["OFFRAMP", "listening"]

OFFRAMP = "from offramp.cli import main; main()"


@contextmanager
def listening(arguments: list[str]) -> Iterator[str]:
    """Start Python code in a process of its own; yield the address that it says it listens on."""
    command = [sys.executable, "-c", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()

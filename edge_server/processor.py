"""The processor's load and the memory's size, read through psutil, which nothing else here asks."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

__all__ = ["ProcessorMeter", "memory_bytes"]

_LIMIT = Path("/sys/fs/cgroup/memory.max")


class ProcessorMeter:
    """Reads how much of all processors this process took between two readings."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._processors = psutil.cpu_count() or 1
        self._process.cpu_percent(None)

    def share(self) -> float:
        """Return the share since the last reading, 0 to 1."""
        percent: float = self._process.cpu_percent(None)
        return min(percent / 100 / self._processors, 1.0)


def memory_bytes() -> int:
    """Return how much memory this machine has, or the container that this process runs in."""
    size_bytes: int = psutil.virtual_memory().total
    with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit: "max"
        size_bytes = min(size_bytes, int(_LIMIT.read_text()))
    return size_bytes

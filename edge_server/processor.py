"""The processor's load, read through psutil; the one module of the server that asks for it."""

from __future__ import annotations

import psutil

__all__ = ["ProcessorMeter"]


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

"""The contract of a sink: where results and events go."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["Sink"]


class Sink(Protocol):
    """Takes lines: mappings with a ``kind``.

    It is one of run, result, plan, load, link, bundle, drift or thresholds.
    """

    def write(self, line: dict[str, Any]) -> None:
        """Take one line; called from one thread at a time."""

    def close(self) -> None:
        """Write what is left."""

"""The lead: by how much the link's time runs before the agent's.

The link's clock starts with the first connection, the agent's after its first probes. Neither
knows of the other; when their files were last written tells both.
"""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["find_lead_s"]


def find_lead_s(link_log: Path, run_file: Path) -> float | None:
    """Return how long before the run's start the link's time began, or None if it cannot be told.

    ``link_log`` gets a line at the begin of each phase; to be asked during the first of them.
    """
    link_s, announced = _read_at_rest(link_log)
    run_s, lines = _read_at_rest(run_file)
    if len(announced) != 1 or not lines or link_s is None or run_s is None:
        return None
    last = json.loads(lines[-1])
    if last["kind"] != "result":
        return None
    return max(run_s - (last["arrived_s"] + last["latency_s"]) - link_s, 0.0)


def _read_at_rest(path: Path) -> tuple[float | None, list[str]]:
    """Return when a file was written last and its lines, None if it is written just now."""
    before = path.stat().st_mtime_ns
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    after = path.stat().st_mtime_ns
    complete = bool(lines) and lines[-1].endswith("\n")
    return (before / 1e9 if before == after and complete else None), lines

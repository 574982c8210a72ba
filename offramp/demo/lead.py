"""The lead: by how much the link's time runs before the agent's.

The link's clock starts with the first connection, the agent's after its first probes. Neither
knows of the other; when their files were last written tells both.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

__all__ = ["find_lead_s"]

_TRIES, _PAUSE_S = 20, 0.02


def find_lead_s(link_log: Path, run_file: Path) -> float:
    """Return how long before the run's start the link's time began; 0 if it cannot be told.

    ``link_log`` gets a line as each phase begins: ask during the first, after the first result.
    """
    for _ in range(_TRIES):
        lead_s = _compare(link_log, run_file)
        if lead_s is not None:
            return max(lead_s, 0.0)
        time.sleep(_PAUSE_S)
    return 0.0


def _compare(link_log: Path, run_file: Path) -> float | None:
    link_s, announced = _read_at_rest(link_log)
    run_s, lines = _read_at_rest(run_file)
    if link_s is None or run_s is None or len(announced) != 1:
        return None
    last = json.loads(lines[-1])
    if last["kind"] != "result":  # only a result tells when it was written
        return None
    written_s = float(last["arrived_s"] + last["latency_s"])
    return run_s - written_s - link_s


def _read_at_rest(path: Path) -> tuple[float | None, list[str]]:
    """Return when a file was last written, None if it is being written now, and its lines."""
    before_ns = path.stat().st_mtime_ns
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    at_rest = path.stat().st_mtime_ns == before_ns and bool(lines) and lines[-1].endswith("\n")
    return (before_ns / 1e9 if at_rest else None), lines

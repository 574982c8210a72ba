"""Results: the figures of many runs as one JSON file and as a CSV file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from offramp.files import write_file
from partitioner.power import Power
from sim.world.energy import energy_j

__all__ = ["gather_results", "write_results"]

_SCALARS = (
    *("requests", "answered", "mean_s", "p50_s", "p90_s", "p95_s", "p99_s", "p999_s", "max_s"),
    *("late", "late_share", "accuracy", "right_share", "sent", "sent_share"),
    *("uplink_bytes", "up_bytes", "probe_bytes", "probes", "device_s", "hedge_s", "sending_s"),
    *("waiting_s", "probe_waiting_s", "server_s", "energy_j"),
)

Figures = Mapping[str, Any]


def gather_results(digest: str, setup: Figures, runs: Sequence[Figures]) -> dict[str, Any]:
    """Return what ``results.json`` holds: the setup (`describe_scenario`) and all runs.

    Where the boards' power is known, each group's figures gain ``energy_j``, which is None in
    others, and so do the totals.
    """
    return {"digest": digest, "scenario": dict(setup), "runs": [_powered(r, setup) for r in runs]}


def write_results(folder: Path, results: Figures) -> None:
    """Write ``results.json``, and ``results.csv``: rows for each run's groups and their total.

    The latter is called ``total``.
    """
    write_file(folder / "results.json", json.dumps(results, indent=1).encode() + b"\n")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["strategy", "seed", "group", *_SCALARS])
    for run in results["runs"]:
        for name, figures in (("total", run["total"]), *run["groups"].items()):
            row = ["" if figures[key] is None else figures[key] for key in _SCALARS]
            writer.writerow([run["strategy"], run["seed"], name, *row])
    write_file(folder / "results.csv", text.getvalue().encode())


def _powered(run: Figures, setup: Figures) -> dict[str, Any]:
    """Return a run's figures with the energy of its groups, and of all together."""
    groups = {}
    for group in setup["groups"]:
        figures, drawn = run["groups"][group["name"]], None
        if group["power"] is not None:
            period_s = figures["counted_s"] / max(figures["requests"], 1)
            drawn = energy_j(figures, Power.model_validate(group["power"]), period_s)
        groups[group["name"]] = {**figures, "energy_j": drawn}
    each = [figures["energy_j"] for figures in groups.values()]
    total = None if None in each else sum(each)
    return {**run, "total": {**run["total"], "energy_j": total}, "groups": groups}

"""Results: the figures of many runs as one JSON file, as a CSV file and as a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offramp.files import write_file
from partitioner.power import Power
from sim.world.energy import energy_j

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["gather_results", "results_table", "write_results"]

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


def results_table(runs: Sequence[Figures]) -> Table:
    """Return a table with a row for each strategy: the means over its seeds, of one request."""
    from rich import box
    from rich.table import Table

    title = f"{runs[0]['scenario']}: {runs[0]['devices']} devices, times in ms" if runs else None
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("strategy", no_wrap=True)
    for heading in ("mean", "p50", "p95", "p99", "late", "accuracy"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("bytes", "device", "sent"):
        table.add_column(heading, justify="right", no_wrap=True)
    for strategy in dict.fromkeys(run["strategy"] for run in runs):
        totals = [run["total"] for run in runs if run["strategy"] == strategy]
        each = [max(figures["requests"], 1) for figures in totals]
        table.add_row(
            strategy,
            *(_ms(figures[key] for figures in totals) for key in ("mean_s", "p50_s")),
            *(_ms(figures[key] for figures in totals) for key in ("p95_s", "p99_s")),
            _share(figures["late_share"] for figures in totals),
            _share(figures["accuracy"] for figures in totals),
            f"{_mean(f['uplink_bytes'] / n for f, n in zip(totals, each, strict=True)) or 0:.0f}",
            _ms(f["device_s"] / n for f, n in zip(totals, each, strict=True)),
            _share(figures["sent_share"] for figures in totals),
        )
    return table


def _powered(run: Figures, setup: Figures) -> dict[str, Any]:
    """Return a run's figures with the energy of its groups, and of all together."""
    groups = {}
    for group in setup["groups"]:
        figures, drawn = run["groups"][group["name"]], None
        if group["power"] is not None:
            counted_s = max(run["simulated_s"] - setup["warm_up_s"], 1e-9)
            period_s = group["count"] * counted_s / max(figures["requests"], 1)
            drawn = energy_j(figures, Power.model_validate(group["power"]), period_s)
        groups[group["name"]] = {**figures, "energy_j": drawn}
    each = [figures["energy_j"] for figures in groups.values()]
    total = None if None in each else sum(each)
    return {**run, "total": {**run["total"], "energy_j": total}, "groups": groups}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _ms(values: Iterable[float | None]) -> str:
    mean_s = _mean(values)
    return "-" if mean_s is None else f"{mean_s * 1e3:.1f}"


def _share(values: Iterable[float | None]) -> str:
    mean = _mean(values)
    return "-" if mean is None else f"{mean:.2%}"

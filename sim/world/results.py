"""Results: the figures of many runs as one JSON file, as a CSV file and as a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offramp.files import write_file

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["results_table", "write_results"]

_SCALARS = (
    *("requests", "answered", "mean_s", "p50_s", "p90_s", "p95_s", "p99_s", "p999_s", "max_s"),
    *("late", "late_share", "accuracy", "right_share", "sent", "sent_share", "up_bytes"),
    *("probe_bytes", "device_s", "hedge_s", "sending_s", "waiting_s", "server_s"),
)

Figures = Mapping[str, Any]


def write_results(folder: Path, digest: str, runs: Sequence[Figures]) -> None:
    """Write ``results.json``, with all figures of all runs, and ``results.csv``.

    The latter has a row for each run and group, and one for all groups, ``total``.
    """
    content = {"digest": digest, "runs": list(runs)}
    write_file(folder / "results.json", json.dumps(content, indent=1).encode() + b"\n")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["strategy", "seed", "group", *_SCALARS])
    for run in runs:
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
            f"{_mean(f['up_bytes'] / n for f, n in zip(totals, each, strict=True)):.0f}",
            _ms(f["device_s"] / n for f, n in zip(totals, each, strict=True)),
            _share(figures["sent_share"] for figures in totals),
        )
    return table


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else float("nan")


def _ms(values: Iterable[float | None]) -> str:
    return f"{_mean(values) * 1e3:.1f}"


def _share(values: Iterable[float | None]) -> str:
    return f"{_mean(values):.2%}"

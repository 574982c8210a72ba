"""Tables of devices that share a server: what came of each contender, over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["TABLES", "Show", "median", "rows_of"]

Show = tuple[str, Callable[[float], str]]
"""A figure of a run, and how it is told."""

TABLES: dict[str, dict[str, Show]] = {
    "latency in ms, and load": {
        "mean": ("mean_s", lambda value: f"{value * 1e3:.0f}"),
        "p95": ("p95_s", lambda value: f"{value * 1e3:.0f}"),
        "missed": ("missed", lambda value: f"{value:.1%}"),
        "overdue": ("overdue", lambda value: f"{value:.1%}"),
        "busy": ("busy", lambda value: f"{value:.2f}"),
        "queue": ("queue_s", lambda value: f"{value * 1e3:.0f}"),
    },
    "plans, and changes a minute": {
        "accuracy": ("accuracy", lambda value: f"{value:.1%}"),
        "sending": ("sending", lambda value: f"{value:.0%}"),
        "swing": ("swing", lambda value: f"{value:.1f}"),
        "plans": ("plans", lambda value: f"{value:.1f}"),
        "changes": ("changes", lambda value: f"{value:.1f}"),
    },
}
"""What tables show, by table and column."""


def rows_of(runs: Sequence[dict[str, Any]], columns: Mapping[str, Show]) -> list[list[str]]:
    """Return a row for each contender, the quickest first: medians over its runs, and ranges."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        by_name.setdefault(run["contender"], []).append(run)
    ranked = sorted(by_name.items(), key=lambda item: median(item[1], "mean_s"))
    return [
        [name, *(_spread(mine, key, show) for key, show in columns.values())]
        for name, mine in ranked
    ]


def _spread(runs: Sequence[dict[str, Any]], key: str, show: Callable[[float], str]) -> str:
    found = [run[key] for run in runs]
    least, middle, most = show(min(found)), show(statistics.median(found)), show(max(found))
    return middle if least == most else f"{middle} ({least} to {most})"


def median(runs: Sequence[dict[str, Any]], key: str) -> float:
    """Return a figure's median over runs."""
    return float(statistics.median(run[key] for run in runs))

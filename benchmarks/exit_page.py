"""What `benchmarks.exits` found: tables, and one figure for each task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.exit_scores import Walk
from benchmarks.exit_tasks import Recorded
from offramp.exits.regret import oracle_accuracy
from offramp.report.figure import new_figure, plot_style, to_svg
from offramp.tensors import Array

__all__ = [
    "DROPS",
    "Measured",
    "draw",
    "exits_table",
    "policies_table",
    "recipes_table",
    "shares_table",
]

DROPS = (0.001, 0.003, 0.01)
OWN = "tail_fixes"
_COLOURS, _STROKES = 10, ("-", "--")
Table = tuple[list[str], list[list[str]]]


@dataclass(frozen=True)
class Measured:
    """What exits of one kind, trained by one recipe, do on one task by every policy."""

    recipe: str
    head: str
    recorded: Recorded
    times_s: Array
    walks: dict[str, Walk]

    @property
    def name(self) -> str:
        """How a table calls these exits."""
        return f"{self.recipe}, {self.head}"


def exits_table(all_measured: Sequence[Measured]) -> Table:
    """Return accuracy, multiply-adds and time of each exit and the model, and of both together."""
    exits = all_measured[0].recorded.test.exits
    columns = ["exits", *(f"exit {at + 1}" for at in range(exits)), "whole model", "together"]
    rows = []
    for measured in all_measured:
        test = measured.recorded.test
        costs = test.recorded.costs
        shown = zip(test.right.mean(axis=1), costs / costs[-1], measured.times_s * 1e3, strict=True)
        cells = [f"{a:.2%}, {c:.0%}, {t:.2f} ms" for a, c, t in shown]
        joined = measured.recorded.ensembles[-1] is not None
        together = measured.recorded.end_right(test, exits - 1).mean()
        rows.append([measured.name, *cells, f"{together:.2%}" if joined else "-"])
    return columns, rows


def policies_table(measured: Measured) -> Table:
    """Return what each policy does with thresholds that held-out samples chose."""
    columns = ["policy"]
    columns += [f"-{drop * 100:g} pp: compute, time, drop, leaving" for drop in DROPS]
    columns += [f"offload from exit {at + 1}" for at in range(measured.recorded.test.exits)]
    rows = []
    for name, walk in measured.walks.items():
        found = [walk.chosen(drop) for drop in DROPS]
        rows.append(
            [
                name,
                *(
                    f"{c.macs:.1%}, {c.time:.1%}, {c.drop * 100:+.2f}, {c.leaving:.0%}"
                    for c in found
                ),
                *(
                    f"{_share(alone)}, {_share(joined)}"
                    for alone, joined in zip(walk.offload, walk.offload_joined, strict=True)
                ),
            ]
        )
    return columns, rows


def shares_table(all_measured: Sequence[Measured], drop: float) -> Table:
    """Return the least multiply-adds at which each policy and exits lose ``drop`` at most."""
    columns = ["policy", *(measured.name for measured in all_measured)]
    rows = [
        [name, *(_share(measured.walks[name].least_macs(drop)) for measured in all_measured)]
        for name in all_measured[0].walks
    ]
    return columns, rows


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def recipes_table(all_measured: Sequence[Measured], drop: float) -> Table:
    """Return the least multiply-adds at which each recipe answers as well as the given network.

    Less ``drop``. The first recipe leaves that network as it is; others train it further.
    """
    first = all_measured[0]
    same = [measured for measured in all_measured if measured.head == first.head]
    given = first.recorded.test.right[-1].mean()
    gains = [measured.recorded.test.right[-1].mean() - given for measured in same]
    columns = ["policy", *(measured.recipe for measured in same)]
    rows = [
        [name]
        + [
            _share(measured.walks[name].least_macs(drop + gain))
            for measured, gain in zip(same, gains, strict=True)
        ]
        for name in first.walks
    ]
    return columns, rows


def draw(title: str, all_measured: Sequence[Measured]) -> str:
    """Draw accuracy against multiply-adds and time: by policy for the first exits, and by exits."""
    first = all_measured[0]
    with plot_style():
        figure = new_figure(8.0)
        panels: Any = figure.subplots(2, 2, sharey=True)
        for row, unit in enumerate(("macs", "time")):
            left, right = panels[row]
            rivals = [item for item in first.walks.items() if item[0] != "oracle"]
            for at, (name, walk) in enumerate(rivals):
                _line(left, walk, unit, name, 2.6 if name == OWN else 1.1, _STROKES[at // _COLOURS])
            for at, measured in enumerate(all_measured):
                walk = measured.walks[OWN]
                _line(right, walk, unit, measured.name, 1.8, _STROKES[at // _COLOURS])
            for axes in (left, right):
                _frame(axes, first, unit)
        panels[0][0].set_title(f"{title}: policies, exits {first.name}")
        panels[0][1].set_title(f"{title}: exits, policy {OWN}")
        for axes in panels[0]:
            axes.legend(fontsize=8, loc="lower right")
        return to_svg(figure, title)


def _line(axes: Any, walk: Walk, unit: str, label: str, width: float, stroke: str) -> None:
    spent, drops = getattr(walk, unit) * 100, walk.drop * 100
    order = np.argsort(spent, kind="stable")
    best = np.maximum.accumulate(-drops[order])
    axes.step(spent[order], best, stroke, where="post", linewidth=width, label=label)


def _frame(axes: Any, measured: Measured, unit: str) -> None:
    """Draw the whole model, and who knows which answers are right; name the axes."""
    test = measured.recorded.test
    if unit == "macs":
        costs = test.recorded.costs
        spent = np.linspace(costs[0], costs[-1], 50)
        whole = test.right[-1].mean()
        best = [oracle_accuracy(test.right, costs, float(cost)) - whole for cost in spent]
        axes.plot(
            spent / costs[-1] * 100, np.multiply(best, 100), ":", color="#555555", label="oracle"
        )
    axes.axhline(0, color="#999999", linewidth=0.8)
    axes.set_xlabel(
        "multiply-adds (% of the whole)" if unit == "macs" else "device time (% of the whole)"
    )
    axes.set_ylabel("accuracy above the whole model's (pp)")
    axes.set_ylim(-3, 1.5)

"""The figure of strategies: mean latencies over the oracle's, by course and task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.strategies_aims import by_task
from benchmarks.strategies_scores import ORACLE, Place
from benchmarks.strategies_tables import name_of
from offramp.report.figure import new_figure, plot_style, to_svg

__all__ = ["draw"]


def draw(places: Sequence[Place]) -> str:
    """Return the figure: each strategy's mean latency over the oracle's, by course and task."""
    tasks = list(by_task([place for place in places if place.scores]))
    names = list(dict.fromkeys(name for place in places for name in place.scores))
    with plot_style():
        figure = new_figure(1.2 + (1.6 + 0.26 * len(names)) * len(tasks))
        panels: Any = figure.subplots(len(tasks), 1, squeeze=False)
        for axes, (name, mine) in zip(panels[:, 0], tasks, strict=True):
            _panel(axes, name, mine, names)
        return to_svg(figure, "strategies")


def _panel(axes: Any, title: str, places: Sequence[Place], names: Sequence[str]) -> None:
    ratios = np.array([[_ratio(place, name) for place in places] for name in names])
    order = np.argsort([np.nanmean(row) if not np.isnan(row).all() else 99 for row in ratios])
    ratios = ratios[order]
    axes.imshow(np.log(ratios), cmap="viridis_r", vmin=0, vmax=np.log(4), aspect="auto")
    axes.grid(False)
    ticks = [name_of(place) for place in places]
    axes.set_xticks(range(len(places)), ticks, rotation=40, ha="right", fontsize=7)
    axes.set_yticks(range(len(names)), [names[at] for at in order], fontsize=8)
    axes.set_title(f"{title}: mean latency over the oracle's", fontsize=10)
    for (row, column), ratio in np.ndenumerate(ratios):
        if not np.isnan(ratio):
            ink = "white" if ratio > 2 else "#222222"
            size = {"ha": "center", "va": "center", "fontsize": 6}
            axes.text(column, row, f"{ratio:.2f}", color=ink, **size)


def _ratio(place: Place, name: str) -> float:
    """Return a mean over the oracle's, or over the quickest where the oracle did not run."""
    if name not in place.scores:
        return float("nan")
    least_s = min(score.mean_s for score in place.scores.values())
    oracle = place.scores.get(ORACLE)
    return place.scores[name].mean_s / (oracle.mean_s if oracle else least_s)

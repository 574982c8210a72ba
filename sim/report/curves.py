"""Curves of latency, from histograms: which share of the requests was answered within a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.report.contenders import Figures

__all__ = ["Curve", "curve_over_seeds"]

_POINTS = 600  # of a curve, which is as many as a plot can show

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """The share of requests answered within times: of all seeds together, and seed by seed.

    ``times_s`` (n,) are edges of the histogram's bins and rise, the shares (n,) rise with them up
    to the share that has an answer. ``least`` and ``most`` bound the seeds' own curves.
    """

    times_s: Floats
    share: Floats
    least: Floats
    most: Floats


def curve_over_seeds(runs: Sequence[Figures]) -> Curve | None:
    """Return the curve of runs, thinned where points lie too close to be seen; None if empty."""
    edges_s = np.unique([edge_s for run in runs for edge_s, _ in run["histogram"]])
    if not len(edges_s):
        return None
    counts = np.array([_counts(run, edges_s) for run in runs])
    requests = np.array([max(run["requests"], 1) for run in runs])
    kept = _apart(edges_s)
    alone = np.cumsum(counts, axis=1)[:, kept] / requests[:, None]
    share = np.cumsum(counts.sum(axis=0))[kept] / requests.sum()
    return Curve(edges_s[kept], share, alone.min(axis=0), alone.max(axis=0))


def _counts(run: Figures, edges_s: Floats) -> Floats:
    counts = np.zeros(len(edges_s))
    for edge_s, count in run["histogram"]:
        counts[np.searchsorted(edges_s, edge_s)] += count
    return counts


def _apart(edges_s: Floats) -> NDArray[np.int64]:
    """Return the places of the last edge of each of many equal stretches of a logarithmic axis."""
    if len(edges_s) <= _POINTS:
        return np.arange(len(edges_s))
    log = np.log(edges_s)
    stretch = np.floor((log - log[0]) / (log[-1] - log[0]) * _POINTS)
    return np.flatnonzero(np.append(np.diff(stretch) > 0, True))

"""Paths: threshold vectors from the safest to the riskiest, all exits at once.

A path is chosen on samples that do not test it. How far a test gets along it depends on how the
true drop in accuracy rises: one unlucky vector early on stops it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from offramp.exits.policy import WATCHED
from offramp.guarantee.frontier import trace_grid
from offramp.guarantee.outcomes import CLOSED, Outcomes

__all__ = ["PATHS", "Path"]

_VECTORS = 3_000
_STEPS = 200
_REACH = 2.0

Floats = NDArray[np.float64]
Path = Callable[[Outcomes, float, float], Floats]
"""Takes outcomes, the largest drop in accuracy and the largest share of samples sent; returns
vectors (M, E) in order of testing."""


def ray(chosen: Outcomes, max_drop: float, most_sent: float) -> Floats:
    """Return the straight way from closed exits through the best point of the frontier, and on.

    The point is the cheapest within the drop that sends no more. The way is straight in how many
    samples score at least each threshold, so samples leave at the exits in the same proportions all
    along. Only these proportions are learned, one number an exit, and thresholds fall from step to
    step: the true drop rises steadily. An exit at which nobody leaves is closed; the last one runs
    all along if it does so at that point, for an end that answers together with it. Where the way
    begins with more loss than the samples allow for (a coarse codec), it begins where it loses
    least.
    """
    frontier = trace_grid(chosen, most_sent, _VECTORS)
    drops = chosen.whole_right.mean() - frontier.accuracy
    within = np.flatnonzero(drops <= max_drop)
    target = frontier.thresholds[within[0] if within.size else -1]
    leaving = (chosen.scores >= target[:, None]).mean(axis=1)
    ordered = np.sort(chosen.scores, axis=1)[:, ::-1]
    shares = np.clip(np.linspace(0, _REACH, _STEPS + 1)[:, None] * leaving, 0, 1)
    counts = np.ceil(shares * chosen.samples - 1e-9).astype(np.int64)
    at_least = np.take_along_axis(ordered, np.maximum(counts - 1, 0).T, axis=1).T
    shut = np.full(chosen.exits, CLOSED)
    if chosen.joint_right is not None and target[-1] < CLOSED:
        shut[-1] = WATCHED
    path = np.where(counts == 0, shut, np.where(counts == chosen.samples, 0.0, at_least))
    if chosen.losses(path[0]).mean() > 0:
        path = path[int(chosen.losses(path).mean(axis=1).argmin()) :]
    return np.asarray(path)


def frontier(chosen: Outcomes, max_drop: float, most_sent: float) -> Floats:
    """Return the frontier from its most accurate end, closed exits before it.

    That is Pareto testing as published (Laufer-Goldshtein et al., ICLR 2023). With few samples the
    most accurate vectors are those with most luck, and the test stops early.
    """
    found = trace_grid(chosen, most_sent, _VECTORS)
    return np.vstack([np.full((1, chosen.exits), CLOSED), found.thresholds[::-1]])


PATHS: Mapping[str, Path] = {"frontier": frontier, "ray": ray}

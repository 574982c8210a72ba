"""The threshold grid: which threshold vectors are tried at a cut.

How sure an exit must be is tried in steps: of confidence itself, or of the share of samples that
leave where scores mean something else.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from offramp.bundle import Manifest
from offramp.exits import FittedPolicy
from offramp.exits.policy import CLOSED, WATCHED
from offramp.tensors import Array
from partitioner.recorded import Floats, Recorded

__all__ = ["CONFIDENCES", "threshold_choices", "threshold_vectors", "watching"]

CONFIDENCES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.94, 0.97, 0.99, CLOSED)
_LEAVING = (0.98, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.4, 0.2)  # shares that thresholds let leave
_MAX_VECTORS = 2000


def threshold_choices(recorded: Recorded, count: int) -> Floats:
    """Return so many thresholds from low to high that could hold for any exit, closed the last."""
    if not recorded.manifest.exits:
        return np.array([CLOSED])
    places = np.linspace(0, len(CONFIDENCES) - 1, count).round().astype(int)
    if recorded.policy.rule.name == "confidence":
        return np.array([CONFIDENCES[at] for at in places])
    shares = 1 - np.array(_LEAVING)[places[:-1]]
    return np.array([*np.quantile(recorded.scores, shares), CLOSED])


def threshold_vectors(
    recorded: Recorded, cut: int, levels: list[str | None]
) -> Iterator[tuple[Floats, list[str | None]]]:
    """Yield threshold vectors, (V, exits), with the codec levels of a cut to try them at.

    Where plans are ``allowed``, these are theirs; some send nothing before the last cut.
    """
    manifest, allowed = recorded.manifest, recorded.manifest.allowed
    if allowed is None:
        grid = _grid(recorded.policy, recorded.scores[: manifest.exits_before(cut)])
        if manifest.ensemble_at(cut) is not None:  # the last exit may run for the end alone
            watched = grid[grid[:, -1] >= CLOSED]
            watched[:, -1] = WATCHED
            grid = np.concatenate([grid, watched])
        yield grid, levels
        return
    alike: dict[tuple[tuple[float, ...], ...], list[str | None]] = defaultdict(list)
    for level in dict.fromkeys((*levels, None)):
        alike[allowed.thresholds(cut, level)].append(level)
    for vectors, named in alike.items():
        if vectors:
            yield np.array(vectors, dtype=np.float64), named


def _grid(policy: FittedPolicy, scores: Array) -> Floats:
    """Return the threshold vectors to try, (V, exits), fewer for each exit if there are many."""
    exit_count = len(scores)
    steps = len(CONFIDENCES)
    while steps > 2 and steps**exit_count > _MAX_VECTORS:
        steps -= 1
    if policy.rule.name == "confidence":
        places = np.linspace(0, len(CONFIDENCES) - 1, steps).round().astype(int)
        choices = [tuple(CONFIDENCES[at] for at in places)] * exit_count
    else:
        places = np.linspace(0, len(_LEAVING) - 1, steps - 1).round().astype(int)
        shares = 1 - np.array(_LEAVING)[places]
        choices = [(*np.unique(np.quantile(s, shares)), CLOSED) for s in scores]
    return np.array(list(itertools.product(*choices)))


def watching(vectors: Floats, manifest: Manifest, policy: FittedPolicy) -> Floats:
    """Return threshold vectors, (V, exits), in which what an open exit needs is not closed.

    It needs those whose code its head goes on from, and all before it if the policy looks back on
    them. What was closed is only watched.
    """
    watched = vectors.copy()
    for at in range(vectors.shape[1]):
        runs, scored = vectors[:, at] < CLOSED, vectors[:, at] <= 1
        for before in range(at):
            needed = runs if before in manifest.leading_to(at) else scored
            if policy.rule.looks_back or needed is runs:
                watched[needed & (watched[:, before] >= CLOSED), before] = WATCHED
    return watched

"""Fitting later exits: at which of those behind a cut the server may answer, and from where on.

One threshold for all of them, as temperatures make their margins alike. It falls from 1 as long as
the samples say, with `CONFIDENCE`, that at most `ALLOWANCE` of all samples get a wrong answer where
the end's is right: testing in a fixed order needs no more samples than a single test (Angelopoulos
et al., Learn then Test, 2110.01052). What exits mend is not counted for that, so it holds of
whatever samples are left by the exits on a device. On the samples themselves no right answer may be
lost in the balance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.bundle import LaterExits, Manifest
from offramp.exits.later import LaterAnswers, tail_macs
from offramp.exits.policy import CLOSED
from offramp.guarantee.p_values import binomial
from offramp.tensors import Array

__all__ = ["ALLOWANCE", "CONFIDENCE", "Crossed", "fit_later_exits"]

ALLOWANCE = 0.005
"""The share of all samples that may get a wrong answer where the end's is right."""

CONFIDENCE = 0.95
"""With which this is known when a threshold is chosen, for each cut and level by itself."""

_TRIED = 1 - np.geomspace(1e-4, 1, 121)
_WORTH = 0.02  # of the tail's multiply-adds: what saves less goes into starting the exit head

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Crossed:
    """N labelled samples that crossed a cut at a codec level.

    ``ends`` (N,) each are the classes with which the end may answer: alone, and together with an
    exit. ``before`` (P, N) are the margins of the exits before the cut.
    """

    answers: LaterAnswers
    labels: Array
    ends: tuple[Array, ...]
    before: NDArray[np.float64]

    def balance(self, thresholds: dict[int, float]) -> tuple[int, int]:
        """Return how many are answered wrongly so that the end is right, and the other way round.

        The end counts as right if it is so alone or together with an exit.
        """
        end_right = np.any([end == self.labels for end in self.ends], axis=0)
        leaves = self.answers.leaves(thresholds)
        right = self.answers.answers(leaves, self.labels) == self.labels
        left = leaves < len(self.answers.exits)
        return int((left & ~right & end_right).sum()), int((left & right & ~end_right).sum())

    def unsure(self, threshold: float) -> Flags:
        """Tell which samples no exit before the cut would have answered at the same threshold."""
        return np.asarray(~(self.before >= threshold).any(axis=0))


def fit_later_exits(manifest: Manifest, cut: int, crossed: Crossed) -> LaterExits | None:
    """Return the later exits of a cut for what crosses it at a level, None if none is worth it.

    An exit is worth it if it saves more multiply-adds than it takes, also of the samples that exits
    before the cut leave over.
    """
    open_exits = crossed.answers.exits
    while open_exits:
        threshold = _lowest(crossed, open_exits)
        if threshold is None:
            return None
        idle = _idlest(manifest, cut, crossed, dict.fromkeys(open_exits, threshold))
        if idle is None:
            found = dict.fromkeys(open_exits, threshold)
            worse, better = crossed.balance(found)
            behind = range(manifest.exits_before(cut), len(manifest.exits))
            vector = tuple(found.get(at, CLOSED) for at in behind)
            return LaterExits(thresholds=vector, worse=worse, better=better)
        open_exits = tuple(at for at in open_exits if at != idle)
    return None


def _lowest(crossed: Crossed, open_exits: tuple[int, ...]) -> float | None:
    """Return the lowest threshold that is allowed, None if none is."""
    found = None
    for threshold in _TRIED.tolist():
        worse, better = crossed.balance(dict.fromkeys(open_exits, threshold))
        counts = np.array(worse), np.array(better)
        if binomial(*counts, len(crossed.labels), ALLOWANCE) > 1 - CONFIDENCE:
            break
        if worse <= better:
            found = threshold
    return found


def _idlest(
    manifest: Manifest, cut: int, crossed: Crossed, thresholds: dict[int, float]
) -> int | None:
    """Return the exit without which the tail is cheapest, None if each of them is worth it."""
    rows = crossed.unsure(next(iter(thresholds.values())))
    if not rows.any():
        return next(iter(thresholds))

    def mean_macs(without: int | None) -> float:
        left = {at: threshold for at, threshold in thresholds.items() if at != without}
        each = tail_macs(manifest, cut, left)
        numbers = [*crossed.answers.exits, len(manifest.exits)]
        spent = np.array([each[at] for at in numbers])
        return float(spent[crossed.answers.leaves(left)[rows]].mean())

    tail = sum(segment.macs for segment in manifest.segments[cut:])
    idlest = min(thresholds, key=mean_macs)
    return idlest if mean_macs(idlest) <= mean_macs(None) + _WORTH * tail else None

"""Regret: how far exit decisions are from the best possible ones, on recorded samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import InputError
from offramp.exits.evidence import Evidence
from offramp.exits.policy import first_exit

__all__ = ["Regret", "measure_regret", "offload_rate", "oracle_accuracy", "oracle_rate"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Regret:
    """Accuracy and mean multiply-adds of some decisions, and the oracle's accuracy at that cost."""

    accuracy: float
    mean_cost: float
    oracle_accuracy: float

    @property
    def regret(self) -> float:
        """By how much the oracle is more accurate."""
        return self.oracle_accuracy - self.accuracy


def measure_regret(
    evidence: Evidence, scores: Sequence[Floats] | Floats, thresholds: Sequence[float]
) -> Regret:
    """Compare a policy's ``scores`` (E, N) under ``thresholds`` (E) with the oracle."""
    right, costs = evidence.right, evidence.recorded.costs
    leaves = first_exit(scores, thresholds)
    accuracy = float(right[leaves, np.arange(len(evidence))].mean())
    mean_cost = float(costs[leaves].mean())
    return Regret(accuracy, mean_cost, oracle_accuracy(right, costs, mean_cost))


def oracle_accuracy(right: Flags, costs: Floats, mean_cost: float) -> float:
    """Return the highest accuracy at a mean cost of at most ``mean_cost``, knowing ``right``.

    ``right`` (E + 1, N), ``costs`` (E + 1,), ascending. Everyone leaves at the first exit; those
    who are wrong there and right later go on, the cheapest of them first, which is optimal as each
    gains one answer. Raises `InputError` if the mean cost is less than the first exit's.
    """
    if mean_cost < costs[0] * (1 - 1e-9):
        raise InputError(f"a mean cost of {mean_cost:.4g} is less than the first exit's")
    count = right.shape[1]
    helped = ~right[0] & right.any(axis=0)
    extra = np.sort(costs[right.argmax(axis=0)[helped]] - costs[0]).cumsum()
    room = (mean_cost - costs[0]) * count * (1 + 1e-9)
    bought = int(np.searchsorted(extra, room, side="right"))
    return float((right[0].sum() + bought) / count)


def offload_rate(
    scores: Floats, exit_right: Flags, final_right: Flags, target_accuracy: float
) -> float:
    """Return the least share of samples to send on, the least sure first, for an accuracy.

    All (N,); samples of one score go together. Raises `InputError` if no share reaches it.
    """
    if not np.isfinite(scores).all():
        raise InputError("the scores are not finite")
    order = np.argsort(scores, kind="stable")
    gains = np.cumsum(final_right[order].astype(int) - exit_right[order].astype(int))
    right = int(exit_right.sum()) + np.concatenate([[0], gains])
    whole = np.append(np.diff(scores[order]) > 0, True)  # a tie is not torn apart
    allowed = np.concatenate([[True], whole])
    reached = np.flatnonzero(allowed & (right >= target_accuracy * len(scores) - 1e-9))
    if not len(reached):
        raise InputError(
            f"no share of samples sent on gives an accuracy of {target_accuracy:.4f}; "
            f"{right[allowed].max() / len(scores):.4f} is the best"
        )
    return float(reached[0] / len(scores))


def oracle_rate(exit_right: Flags, final_right: Flags, target_accuracy: float) -> float:
    """Return the share that has to go on with perfect knowledge of whom it helps.

    Raises `InputError` if even that does not reach the accuracy.
    """
    best = np.where(final_right & ~exit_right, 0.0, np.where(exit_right & ~final_right, 2.0, 1.0))
    ranked = np.argsort(np.argsort(best, kind="stable"), kind="stable").astype(np.float64)
    return offload_rate(ranked, exit_right, final_right, target_accuracy)

"""Leaving: what threshold vectors do with the calibration samples up to a cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.calibration import joint_answers
from offramp.exits.policy import CLOSED
from partitioner.recorded import Floats, Place, Recorded
from partitioner.threshold_grid import watching

__all__ = ["Leaving", "sort_sent_bytes"]


@dataclass(frozen=True)
class Leaving:
    """What V threshold vectors, ``grid`` (V, exits), do with the samples up to one cut.

    ``stays``, float64 (V, N), is 1 where no exit is sure; ``shares`` (V, exits) leave at each exit,
    and ``right`` (V,) counts the right answers among those that leave.
    """

    grid: Floats
    stays: Floats
    shares: Floats
    right: Floats

    @classmethod
    def of(cls, recorded: Recorded, cut: int, vectors: Floats) -> Leaving:
        """Let the samples leave at the exits before a cut; what open exits need is watched."""
        grid = watching(vectors, recorded.manifest, recorded.policy)
        samples, right = recorded.exits_right.shape[1], np.zeros(len(grid))
        stays, shares = np.ones((len(grid), samples), bool), np.zeros(grid.shape)
        for at, score in enumerate(recorded.scores[: recorded.manifest.exits_before(cut)]):
            leaves = stays & (score >= grid[:, at, None])
            stays &= ~leaves
            shares[:, at] = leaves.mean(axis=1)
            right += leaves @ recorded.exits_right[at]
        return cls(grid, stays.astype(np.float64), shares, right)

    def count_right(self, recorded: Recorded, place: Place) -> Floats:
        """Return how many samples each threshold vector answers rightly, (V,).

        Without a level those that stay are answered by the model on the device.
        """
        (cut, level), labels = place, recorded.calibration.labels
        if level is None:
            final = recorded.calibration.final_logits.argmax(axis=-1) == labels
        else:
            final = recorded.calibration.answers[cut, level] == labels
        right: Floats = self.right + self.stays @ final.astype(np.float64)
        joint = joint_answers(recorded.manifest, recorded.calibration, cut, level)
        if joint is not None:
            both = self.right + self.stays @ (joint == labels).astype(np.float64)
            right = np.where(self.grid[:, -1] < CLOSED, both, right)
        return right


def sort_sent_bytes(stays: Floats, sizes: NDArray[Any]) -> NDArray[np.int32]:
    """Return the sizes of the samples that stay, in ascending order behind zeros, (V, N)."""
    return np.sort((stays * sizes).astype(np.int32), axis=1)

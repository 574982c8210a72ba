"""Outcomes: what the exits and the end of a model said about samples whose answer is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.errors import InputError
from offramp.exits.policy import CLOSED
from offramp.tensors import Array

__all__ = ["CLOSED", "Outcomes"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outcomes:
    """What E exits and the end said about N samples, at one cut and codec level.

    ``scores`` float64 (E, N) in [0, 1]: how sure each exit is; ``exit_right`` bool (E, N) and
    ``final_right`` bool (N,): whether its answer is right, and that of the end, to which a sample
    goes that no exit answers; ``whole_right`` bool (N,): the same of the model as it is, from which
    a drop in accuracy is counted. ``costs`` float64 (E + 1,), in any unit: what a sample costs that
    leaves at each exit or goes to the end. ``heads`` float64 (E,): what of these is each exit's
    own, and is saved where it is closed; nothing by default. ``joint_right`` bool (N,): whether the
    end's answer is right together with the last exit's, as it is given wherever that exit runs; by
    default the end answers alone.

    Raises `InputError` on arrays that do not fit together or hold what cannot be.
    """

    scores: Floats
    exit_right: Array
    final_right: Array
    costs: Floats
    whole_right: Array
    heads: Floats | None = None
    joint_right: Array | None = None

    def __post_init__(self) -> None:
        exits, count = self.scores.shape if self.scores.ndim == 2 else (0, 0)
        if not exits or not count:
            raise InputError(
                f"scores have the shape {self.scores.shape}; at least one exit and one sample "
                "are needed"
            )
        _check("exit_right", self.exit_right, (exits, count))
        _check("final_right", self.final_right, (count,))
        _check("whole_right", self.whole_right, (count,))
        if self.joint_right is not None:
            _check("joint_right", self.joint_right, (count,))
        for at, row in enumerate(self.scores):
            wrong = row[~((row >= 0) & (row <= 1))]
            if wrong.size:
                raise InputError(
                    f"{wrong.size} scores of exit {at} are not in [0, 1], such as {wrong[0]}; "
                    "check its logits and its policy"
                )
        if (
            self.costs.shape != (exits + 1,)
            or not (np.isfinite(self.costs) & (self.costs >= 0)).all()
        ):
            raise InputError(
                f"costs are {self.costs.tolist()}; give {exits + 1} numbers from 0 up, one for "
                "each exit and one for the end"
            )

        if self.heads is not None and self.heads.shape != (exits,):
            raise InputError(f"there are {exits} exits and {len(self.heads)} costs of their heads")

    @property
    def exits(self) -> int:
        """The number of exits."""
        return len(self.scores)

    @property
    def samples(self) -> int:
        """The number of samples."""
        return len(self.final_right)

    def right_under(self, thresholds: Floats) -> Array:
        """Return whether the answer is right at each exit and at the end, (E + 1, N), for (E,)."""
        runs = thresholds[-1] < CLOSED
        end = self.joint_right if runs and self.joint_right is not None else self.final_right
        return np.vstack([self.exit_right, end])

    def select(self, rows: NDArray[Any]) -> Outcomes:
        """Return the outcomes of some samples."""
        joint = self.joint_right
        return replace(
            self,
            scores=self.scores[:, rows],
            exit_right=self.exit_right[:, rows],
            final_right=self.final_right[rows],
            whole_right=self.whole_right[rows],
            joint_right=None if joint is None else joint[rows],
        )

    def places(self, thresholds: Floats) -> NDArray[np.int64]:
        """Return where each sample is answered: at an exit, or at E, the end.

        Thresholds are (E,) or (M, E), the result (N,) or (M, N); so of the methods below.
        """
        sure = self.scores >= thresholds[..., None]
        return np.where(sure.any(axis=-2), sure.argmax(axis=-2), self.exits)

    def answers_right(self, thresholds: Floats) -> Array:
        """Return whether the answer that each sample gets is right."""
        places = self.places(thresholds)
        alone = np.vstack([self.exit_right, self.final_right])
        found = alone[places, np.arange(self.samples)]
        if self.joint_right is not None:
            together = (places == self.exits) & (thresholds[..., -1:] < CLOSED)
            found = np.where(together, self.joint_right, found)
        return np.asarray(found)

    def losses(self, thresholds: Floats) -> NDArray[np.int8]:
        """Return, for each sample, whether the whole model is right, less whether the answer is.

        The mean is the drop in accuracy. A sample counts -1 where an exit mends the model.
        """
        return self.whole_right.astype(np.int8) - self.answers_right(thresholds).astype(np.int8)

    def costs_under(self, thresholds: Floats) -> Floats:
        """Return the costs, (E + 1,) or (M, E + 1), with what closed exits save taken off."""
        if self.heads is None:
            return np.broadcast_to(self.costs, (*thresholds.shape[:-1], self.exits + 1))
        saved = np.cumsum(np.where(thresholds >= CLOSED, self.heads, 0.0), axis=-1)
        before = np.zeros((*thresholds.shape[:-1], 1))
        return np.asarray(self.costs - np.concatenate([before, saved], axis=-1))

    def mean_cost(self, thresholds: Floats) -> Floats:
        """Return what a sample costs in the mean."""
        costs, places = self.costs_under(thresholds), self.places(thresholds)
        return np.asarray(np.take_along_axis(costs, places, axis=-1).mean(axis=-1))

    def sent_share(self, thresholds: Floats) -> Floats:
        """Return the share of samples that no exit answers."""
        return np.asarray((self.places(thresholds) == self.exits).mean(axis=-1))

    def ending_at(self, last: int) -> Outcomes:
        """Return the outcomes of a model that ends at an exit, at which all samples leave.

        One that ends at the first exit has one more that answers nobody.
        """
        if last:
            scores, exit_right, costs = (
                self.scores[:last], self.exit_right[:last], self.costs[: last + 1],
            )  # fmt: skip
            heads = None if self.heads is None else self.heads[:last]
        else:
            scores, exit_right = np.zeros((1, self.samples)), np.zeros((1, self.samples), bool)
            costs, heads = self.costs[:1].repeat(2), None
        return Outcomes(scores, exit_right, self.exit_right[last], costs, self.whole_right, heads)


def _check(name: str, array: Array, shape: tuple[int, ...]) -> None:
    if array.shape != shape or array.dtype != np.bool_:
        raise InputError(
            f"{name} is {array.dtype} of shape {array.shape}; it must be bool of shape {shape}"
        )

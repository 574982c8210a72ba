"""Outcomes: what becomes of each calibration sample under a plan, by what was recorded of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offramp.bundle import Bundle
from offramp.calibration import Calibration, joint_answers, load_calibration, score_exits
from offramp.exits import FittedPolicy, first_exit
from offramp.exits.ensemble import joint_classes
from offramp.exits.fitted import load_policy
from offramp.exits.later import exits_to_run
from partitioner.candidates import CLOSED
from partitioner.plan import Plan

__all__ = ["Outcomes", "PlanOutcomes"]


@dataclass(frozen=True)
class PlanOutcomes:
    """What becomes of N samples under a plan; each part is indexed by the sample.

    ``leaves`` holds the exit at which a sample leaves, or the number of the plan's exits if at
    none; ``size_bytes`` its frames, were it sent; ``right`` whether the answer at that exit, or at
    the end, is right. ``ends`` holds the boundary at which it leaves the server, were it sent;
    empty if all run to the end. ``asks`` are the exits that run there, each behind its boundary.
    """

    leaves: Sequence[int]
    size_bytes: Sequence[int]
    right: Sequence[int]
    ends: Sequence[int] = ()
    asks: tuple[tuple[int, int], ...] = ()


class Outcomes:
    """The recorded outcomes of a bundle's N calibration samples, looked up plan by plan.

    ``exit_right[e][i]`` tells whether exit ``e`` answers sample ``i`` rightly.
    """

    def __init__(self, bundle: Bundle, calibration: Calibration, policy: FittedPolicy) -> None:
        self._manifest, self._calibration = bundle.manifest, calibration
        self._scores = score_exits(bundle.manifest, calibration, policy)
        labels = calibration.labels
        right = calibration.exit_logits.argmax(axis=-1) == labels
        self.exit_right = [bytes(row.astype("u1")) for row in right]
        self._plans: dict[tuple[int, str | None, tuple[float, ...]], PlanOutcomes] = {}
        self._whole: dict[int | None, bytes] = {}

    @classmethod
    def of(cls, bundle: Bundle) -> Outcomes:
        """Return what a bundle holds of its own calibration."""
        return cls(bundle, load_calibration(bundle), load_policy(bundle))

    def __len__(self) -> int:
        return len(self._calibration.labels)

    def under(self, plan: Plan) -> PlanOutcomes:
        """Return what becomes of each sample under a plan."""
        key = plan.cut, plan.level, plan.thresholds
        found = self._plans.get(key)
        if found is None:
            found = self._plans[key] = self._look_up(plan)
        return found

    def whole_right(self, cut: int, ran: frozenset[int]) -> Sequence[int]:
        """Tell which samples the whole model on the device answers rightly.

        It was begun under a plan of ``cut``, and the exits ``ran``: the last one before the cut
        answers together with the end where the two are an ensemble.
        """
        at, ensemble = self._manifest.ensemble_at(cut) or (None, None)
        joined = at if at in ran else None
        if joined not in self._whole:
            calibration = self._calibration
            answers = calibration.final_logits.argmax(axis=-1)
            if joined is not None and ensemble is not None:
                exit_logits = calibration.exit_logits[joined]
                answers = joint_classes(ensemble, exit_logits, calibration.final_logits)
            self._whole[joined] = bytes((answers == calibration.labels).astype("u1"))
        return self._whole[joined]

    def _look_up(self, plan: Plan) -> PlanOutcomes:
        calibration, labels = self._calibration, self._calibration.labels
        count = len(plan.thresholds)
        leaves = first_exit(self._scores[:count], plan.thresholds) if count else labels * 0
        place = None if plan.level is None else (plan.cut, plan.level)
        answers = calibration.final_logits.argmax(axis=-1)
        if place is not None:
            answers = calibration.answers[place]
        joint = joint_answers(self._manifest, calibration, plan.cut, plan.level)
        if joint is not None and plan.thresholds[-1] < CLOSED:
            answers = joint
        right = answers == labels
        for at in range(count):
            left = leaves == at
            right[left] = calibration.exit_logits[at][left].argmax(axis=-1) == labels[left]
        sizes = calibration.sizes[place].tolist() if place else [0] * len(labels)
        found = bytes(leaves.astype("u1")), sizes, bytes(right.astype("u1"))
        if place is None or place not in calibration.leaves:
            return PlanOutcomes(*found)
        return PlanOutcomes(*found, *self._on_the_server(place))

    def _on_the_server(
        self, place: tuple[int, str]
    ) -> tuple[Sequence[int], tuple[tuple[int, int], ...]]:
        """Return at which boundary each sample leaves a tail, and which exits run behind which."""
        manifest = self._manifest
        stops = np.array([*(spec.boundary for spec in manifest.exits), max(manifest.cuts)])
        asked = exits_to_run(manifest, manifest.later_at(*place))
        asks = tuple((manifest.exits[number].boundary, number) for number in asked)
        return stops[self._calibration.leaves[place]].tolist(), asks

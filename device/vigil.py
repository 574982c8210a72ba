"""The vigil: whether the samples still look like those that a bundle's plans were calibrated on.

One watch for each plan, since other plans let other samples leave. It has no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offramp.bundle import Manifest
from offramp.calibration import Calibration
from offramp.exits.policy import CLOSED
from offramp.guarantee.drift import DriftWatch, Moved, expect
from offramp.guarantee.recorded import recorded_outcomes
from offramp.tensors import Array
from partitioner.plan import Plan

__all__ = ["FALSE_ALARM", "DriftSeen", "Vigil"]

FALSE_ALARM = 0.01
"""The chance that a device warns though nothing has changed, however long it runs."""


@dataclass(frozen=True)
class DriftSeen:
    """A plan's samples have left what calibration saw: what is promised may not hold any more."""

    plan: str
    moved: Moved


class Vigil:
    """Watches over the samples of a bundle with allowed plans; ``scores`` (E, N) are its exits'.

    The chance of a false alarm is shared by the allowed plans that have an open exit to watch.
    """

    def __init__(self, manifest: Manifest, calibration: Calibration, scores: Array) -> None:
        assert manifest.allowed is not None
        self._manifest, self._calibration, self._scores = manifest, calibration, scores
        watched = sum(_watchable(plan.thresholds) for plan in manifest.allowed.plans)
        self._alpha = FALSE_ALARM / max(watched, 1)
        self._watches: dict[str, DriftWatch | None] = {}

    def observe(self, plan: Plan, left: int | None, scores: Sequence[float]) -> DriftSeen | None:
        """Take a sample that left at an exit, or at none, under a plan; say it once if it drifts.

        ``scores`` (E,) are those of the exits up to the cut, NaN where one did not run. A sample
        that ran out of time left at none: what it was like at the exits before counts.
        """
        if plan.id not in self._watches:
            self._watches[plan.id] = self._watch(plan)
        watch = self._watches[plan.id]
        if watch is None:
            return None
        moved = watch.observe(len(plan.thresholds) if left is None else left, scores)
        if moved is None:
            return None
        self._watches[plan.id] = None
        return DriftSeen(plan.id, moved)

    def _watch(self, plan: Plan) -> DriftWatch | None:
        if not _watchable(plan.thresholds):
            return None  # all samples go to the end, whatever they are
        thresholds = np.array(plan.thresholds, dtype=np.float64)
        place = (plan.cut, plan.level)
        outcomes = recorded_outcomes(self._manifest, self._calibration, self._scores, place)
        return DriftWatch(expect(outcomes, thresholds, self._alpha))


def _watchable(thresholds: Sequence[float]) -> bool:
    """Tell whether an exit runs."""
    return any(threshold < CLOSED for threshold in thresholds)

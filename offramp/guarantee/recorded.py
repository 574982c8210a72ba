"""Outcomes from what a bundle's calibration recorded."""

from __future__ import annotations

import numpy as np

from offramp.bundle import Manifest
from offramp.calibration import Calibration, joint_answers
from offramp.errors import ConfigError
from offramp.exits.recording import costs_of
from offramp.guarantee.device_costs import DeviceCosts, Place
from offramp.guarantee.outcomes import Outcomes
from offramp.tensors import Array

__all__ = ["recorded_outcomes"]


def recorded_outcomes(
    manifest: Manifest,
    calibration: Calibration,
    scores: Array,
    place: Place | None = None,
    device: DeviceCosts | None = None,
) -> Outcomes:
    """Return the outcomes of the exits before a cut, and of the tail behind it at a codec level.

    ``scores`` (E, N) are those of the bundle's exit policy (`offramp.calibration.score_exits`). By
    default the device runs the whole model. A place before all exits gets one that answers nobody.
    Costs are multiply-adds, with all exits on the way; of a sample that no exit answers they are
    the whole model's, wherever its tail runs. With ``device`` they are the device's alone, and a
    closed exit saves its head. Raises `ConfigError` if nothing is recorded of the place.
    """
    cut, level = place or (max(manifest.cuts), None)
    if level is not None and (cut, level) not in calibration.answers:
        raise ConfigError(f"no answers are recorded of cut {cut} at level {level!r}; give another")
    active, labels = manifest.exits_before(cut), calibration.labels
    whole_right = calibration.final_logits.argmax(axis=-1) == labels
    final_right = whole_right if level is None else calibration.answers[cut, level] == labels
    costs = costs_of(manifest, active) if device is None else device.at(manifest, (cut, level))
    if not active:
        nobody = np.zeros((1, len(labels)))
        return Outcomes(nobody, nobody > 0, final_right, costs.repeat(2), whole_right)
    joint = joint_answers(manifest, calibration, cut, level)
    return Outcomes(
        np.asarray(scores[:active], dtype=np.float64),
        calibration.exit_logits[:active].argmax(axis=-1) == labels,
        final_right,
        costs,
        whole_right,
        None if device is None else device.exits[:active],
        None if joint is None else joint == labels,
    )

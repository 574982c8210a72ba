"""Outcomes from what a bundle's calibration recorded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.bundle import Manifest
from offramp.calibration import Calibration, joint_answers
from offramp.errors import ConfigError
from offramp.exits.policy import CLOSED, WATCHED
from offramp.exits.recording import costs_of
from offramp.guarantee.device_costs import DeviceCosts, Place
from offramp.guarantee.outcomes import Outcomes
from offramp.tensors import Array

__all__ = ["keep_running", "recorded_outcomes"]

Floats = NDArray[np.float64]


def recorded_outcomes(
    manifest: Manifest,
    calibration: Calibration,
    scores: Array,
    place: Place | None = None,
    device: DeviceCosts | None = None,
    exits: int | None = None,
) -> Outcomes:
    """Return the outcomes of the exits before a cut, and of the tail behind it at a codec level.

    ``scores`` (E, N) are those of the bundle's exit policy (`offramp.calibration.score_exits`). By
    default the device runs the whole model. A place before all exits gets one that answers nobody.
    Costs are multiply-adds, with all exits on the way; of a sample that no exit answers they are
    the whole model's, wherever its tail runs. With ``device`` they are the device's alone, and a
    closed exit saves its head. Where the last exit and the end are an ensemble, that exit always
    runs (`keep_running`) and the end answers together with it. Only the first ``exits`` may be
    open; the others are closed, and the end answers alone. Raises `ConfigError` if nothing is
    recorded of the place.
    """
    cut, level = place or (max(manifest.cuts), None)
    if level is not None and (cut, level) not in calibration.answers:
        raise ConfigError(f"no answers are recorded of cut {cut} at level {level!r}; give another")
    active, labels = manifest.exits_before(cut), calibration.labels
    exits = active if exits is None else exits
    whole_right = calibration.final_logits.argmax(axis=-1) == labels
    joint = joint_answers(manifest, calibration, cut, level) if exits == active else None
    plain = whole_right if level is None else calibration.answers[cut, level] == labels
    final_right = plain if joint is None else joint == labels
    costs = costs_of(manifest, exits)
    if device is not None:
        every = device.at(manifest, (cut, level))
        costs = np.append(every[:exits], every[-1] - device.exits[exits:active].sum())
    if not exits:
        nobody = np.zeros((1, len(labels)))
        return Outcomes(nobody, nobody > 0, final_right, costs.repeat(2), whole_right)
    heads = None if device is None else device.exits[:exits].copy()
    if heads is not None and joint is not None:
        heads[-1] = 0.0
    return Outcomes(
        np.asarray(scores[:exits], dtype=np.float64),
        calibration.exit_logits[:exits].argmax(axis=-1) == labels,
        final_right,
        costs,
        whole_right,
        heads,
    )


def keep_running(manifest: Manifest, place: Place, thresholds: Floats) -> Floats:
    """Return thresholds (A,) of the exits before a cut; of an ensemble the last is not closed."""
    cut, level = place
    kept, answers = thresholds.copy(), level is not None or cut == max(manifest.cuts)
    if answers and manifest.ensemble_at(cut) is not None and kept[-1] >= CLOSED:
        kept[-1] = WATCHED
    return kept

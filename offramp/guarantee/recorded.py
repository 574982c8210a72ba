"""Outcomes from what a bundle's calibration recorded."""

from __future__ import annotations

import numpy as np

from offramp.bundle import Bundle
from offramp.calibration import Calibration, score_exits
from offramp.errors import ConfigError
from offramp.exits import FittedPolicy
from offramp.guarantee.outcomes import Outcomes

__all__ = ["recorded_outcomes"]


def recorded_outcomes(
    bundle: Bundle,
    calibration: Calibration,
    policy: FittedPolicy,
    place: tuple[int, str] | None = None,
) -> Outcomes:
    """Return the outcomes of the exits before a cut, and of the tail behind it at a codec level.

    ``policy`` is the bundle's (`offramp.exits.fitted.load_policy`). ``place`` is that cut and
    level; by default the device runs the whole model. Costs are the multiply-adds on the device,
    with all exits on the way. Raises `ConfigError` if nothing is recorded of the place, and
    `InputError` if no exit comes before the cut.
    """
    manifest, labels = bundle.manifest, calibration.labels
    if place is not None and place not in calibration.answers:
        cut, level = place
        raise ConfigError(f"no answers are recorded of cut {cut} at level {level!r}; give another")
    cut = max(manifest.cuts) if place is None else place[0]
    whole = calibration.final_logits.argmax(axis=-1) == labels
    specs = manifest.exits[: manifest.exits_before(cut)]
    segments = np.cumsum([0, *(segment.macs for segment in manifest.segments)])
    heads = np.cumsum([0, *(spec.macs for spec in specs)])
    reached = segments[[*(spec.boundary for spec in specs), cut]]
    return Outcomes(
        scores=score_exits(manifest, calibration, policy)[: len(specs)],
        exit_right=calibration.exit_logits[: len(specs)].argmax(axis=-1) == labels,
        final_right=whole if place is None else calibration.answers[place] == labels,
        costs=(reached + heads[[*range(1, len(heads)), -1]]).astype(np.float64),
        whole_right=whole,
    )

"""Recordings: what a bundle tells of its calibration samples, for candidates to be evaluated on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from offramp.bundle import Manifest
from offramp.calibration import Calibration, score_exits
from offramp.exits import FittedPolicy
from offramp.tensors import Array

__all__ = ["Floats", "Place", "Recorded"]

Floats = NDArray[np.float64]
Place = tuple[int, str | None]
"""A cut and a codec level, None where nothing is sent."""


@dataclass(frozen=True)
class Recorded:
    """What candidates are evaluated on: a bundle's calibration samples and its exit policy."""

    manifest: Manifest
    calibration: Calibration
    policy: FittedPolicy

    @cached_property
    def scores(self) -> Array:
        """How sure each exit is of each sample, (E, N)."""
        return score_exits(self.manifest, self.calibration, self.policy)

    @cached_property
    def exits_right(self) -> Floats:
        """Where each exit answers rightly, 1.0, (E, N)."""
        answers = self.calibration.exit_logits.argmax(axis=-1)
        right: Floats = (answers == self.calibration.labels).astype(np.float64)
        return right

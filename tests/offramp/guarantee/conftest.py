"""Outcomes with known risk, and those of the embedded bundle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from offramp.bundle import Bundle
from offramp.calibration import load_calibration, score_exits
from offramp.exits.fitted import load_policy
from offramp.guarantee import Outcomes, recorded_outcomes


@pytest.fixture(scope="session")
def draw_outcomes() -> Callable[[int, int, int], Outcomes]:
    """Draws exits that know roughly how hard a sample is, some of which mend the model."""

    def draw(exits: int, samples: int, seed: int) -> Outcomes:
        dice = np.random.default_rng(seed)
        hard, luck = dice.beta(0.6, 1.6, samples), dice.random(samples)
        right = np.stack(
            [
                0.75 * luck + 0.25 * dice.random(samples) < 1 - 0.6 * hard ** (1.3 + 0.6 * at)
                for at in range(exits + 1)
            ]
        )
        scores = np.clip(1 - hard + dice.normal(0, 0.12, (exits, samples)), 0, 1)
        return Outcomes(scores, right[:-1], right[-1], np.arange(exits + 1) + 1.0, right[-1])

    return draw


@pytest.fixture(scope="session")
def embedded_outcomes(embedded: Bundle) -> Outcomes:
    """The embedded bundle's calibration samples, all on the device, under maximum probability."""
    calibration = load_calibration(embedded)
    scores = score_exits(embedded.manifest, calibration, load_policy(embedded))
    return recorded_outcomes(embedded.manifest, calibration, scores)

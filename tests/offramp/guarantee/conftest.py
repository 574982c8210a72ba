"""Outcomes with known risk, and those of the embedded bundle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from offramp import exits
from offramp.bundle import Bundle
from offramp.calibration import load_calibration
from offramp.guarantee import Outcomes


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
    calibration, manifest = load_calibration(embedded), embedded.manifest
    rule, logits = exits.get("confidence"), list(calibration.exit_logits)
    heats = [spec.temperature for spec in manifest.exits]
    scores = [rule.score(logits[: at + 1], heats[: at + 1]) for at in range(len(logits))]
    macs = np.cumsum([segment.macs for segment in manifest.segments])
    heads = np.cumsum([spec.macs for spec in manifest.exits])
    reached = macs[[*(spec.boundary - 1 for spec in manifest.exits), -1]]
    whole = calibration.final_logits.argmax(axis=-1) == calibration.labels
    return Outcomes(
        scores=np.stack(scores),
        exit_right=calibration.exit_logits.argmax(axis=-1) == calibration.labels,
        final_right=whole,
        costs=(reached + np.append(heads, heads[-1])) / macs[-1],
        whole_right=whole,
    )

"""Recorded evidence made of dice: three exits, four classes, states of widths 5, 5 and 3."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from offramp.exits import POLICIES, Evidence, FittedPolicy, Truth
from offramp.exits.evidence import as_logits

WIDTHS = (5, 5, 3)
CLASSES, SUMMARY = 4, 6


def make_evidence(seed: int = 0, count: int = 400) -> Evidence:
    """Hard samples are wrong at the first exits; states and summary say how hard they are."""
    dice = np.random.default_rng(seed)
    labels = dice.integers(0, CLASSES, count)
    hard = dice.random(count)
    likely = np.eye(CLASSES)[labels]

    def logits(skill: float) -> np.ndarray:
        strength = skill * (1.2 - hard)[:, None]
        return as_logits(strength * likely + dice.normal(size=(count, CLASSES)))

    states = [
        (dice.normal(size=(count, width)) + 3 * hard[:, None]).astype(np.float32)
        for width in WIDTHS
    ]
    summary = dice.normal(size=(count, SUMMARY)) + 4 * hard[:, None]
    return Evidence(
        tuple(logits(skill) for skill in (2, 3, 5)),
        tuple(states),
        summary.astype(np.float32),
        Truth(labels, as_logits(6 * likely + dice.normal(size=(count, CLASSES))), COSTS),
    )


COSTS = np.array([10.0, 20.0, 30.0, 60.0])


@cache
def fitted(name: str) -> FittedPolicy:
    rule = POLICIES[name]
    return FittedPolicy(rule, rule.fit(make_evidence()))


@pytest.fixture(scope="session")
def evidence() -> Evidence:
    return make_evidence()


@pytest.fixture(scope="session")
def fresh() -> Evidence:
    """Samples that no policy was fitted to."""
    return make_evidence(seed=1, count=2000)


@pytest.fixture(scope="session")
def fit() -> Callable[[str], FittedPolicy]:
    """Fits a policy to the evidence, each once."""
    return fitted


@pytest.fixture(scope="session")
def draw_evidence() -> Callable[..., Evidence]:
    return make_evidence

"""Samples of the cluttered-digits task, as ``offramp compile`` and ``offramp run`` take them."""

from __future__ import annotations

import numpy as np

from offramp.embedded.cluttered_digits import load

__all__ = ["held_out", "test", "train"]


def train() -> tuple[np.ndarray, np.ndarray]:
    """Return the 24,000 samples that the model was trained on; drawing them takes minutes."""
    return load("train", 24_000)


def held_out() -> tuple[np.ndarray, np.ndarray]:
    """Return 1,000 calibration samples; neither the model nor its exits were trained on them."""
    return load("calibration", 1000)


def test() -> tuple[np.ndarray, np.ndarray]:
    """Return 1,000 test samples."""
    return load("test", 1000)

"""What an exit's logits say of how sure it is: the numbers that several policies build on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.exits.temperature import softmax
from offramp.tensors import Array

__all__ = ["fit_ranks", "margin", "normalised_entropy", "rank"]

Floats = NDArray[np.float64]

_RANKS = 1000


def margin(probabilities: Floats) -> Floats:
    """Return the largest probability less the second largest, (N,)."""
    if probabilities.shape[-1] < 2:
        return np.asarray(probabilities[..., 0])
    top = np.partition(probabilities, -2, axis=-1)
    return np.asarray(top[..., -1] - top[..., -2])


def normalised_entropy(probabilities: Floats) -> Floats:
    """Return the entropy over its largest value, in [0, 1], (N,)."""
    logs = np.log(np.maximum(probabilities, 1e-300))
    largest = np.log(max(probabilities.shape[-1], 2))
    return np.asarray(np.clip(-(probabilities * logs).sum(axis=-1) / largest, 0, 1))


def fit_ranks(logits: Array) -> Floats:
    """Return confidences that samples of these logits (N, C) reach in even shares, ascending."""
    return np.asarray(np.quantile(softmax(logits).max(axis=-1), np.linspace(0, 1, _RANKS)))


def rank(logits: Array, ranks: Array) -> Floats:
    """Return the share of the samples of `fit_ranks` that are no more confident, (N,)."""
    confidence = softmax(logits).max(axis=-1)
    return np.asarray(np.searchsorted(ranks, confidence, side="right") / len(ranks))

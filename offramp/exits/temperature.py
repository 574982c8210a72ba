"""Temperature scaling: one number repairs an exit's probabilities (Guo et al., 1706.04599)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from offramp.errors import InputError
from offramp.tensors import Array

__all__ = ["fit_temperature", "log_softmax", "losses", "negative_log_likelihood", "softmax"]

_GOLDEN = (math.sqrt(5) - 1) / 2
_RANGE = (math.log(0.05), math.log(20.0))


def softmax(logits: Array, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return probabilities along the last axis of ``logits / temperature``."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def log_softmax(logits: Array, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return the logarithms of the probabilities along the last axis."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True)))


def losses(logits: Array, labels: Array, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return ``-log p(label)`` of N samples; logits (N, classes), labels (N,)."""
    return -log_softmax(logits, temperature)[np.arange(len(labels)), labels]


def negative_log_likelihood(logits: Array, labels: Array, temperature: float = 1.0) -> float:
    """Return the mean of ``-log p(label)`` over N samples; logits (N, classes), labels (N,)."""
    return float(np.mean(losses(logits, labels, temperature)))


def fit_temperature(logits: Array, labels: Array) -> float:
    """Return the temperature in [0.05, 20] of the least negative log-likelihood.

    The likelihood is unimodal in the logarithm of the temperature, so golden-section search
    finds its minimum. Raises `InputError` on logits that are not finite.
    """
    if not np.isfinite(logits).all():
        raise InputError("an exit's logits are not finite; train the exit head again")
    low, high = _RANGE

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(logits, labels, math.exp(log_temperature))

    for _ in range(40):
        inner = high - _GOLDEN * (high - low)
        outer = low + _GOLDEN * (high - low)
        if loss(inner) < loss(outer):
            high = outer
        else:
            low = inner
    return math.exp((low + high) / 2)

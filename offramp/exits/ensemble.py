"""Ensembles: the end answers together with the last exit on the way, whose answer is paid for.

Their log-probabilities are added with weights and made probabilities again,

    log p = a log p_exit + b log p_end + const,

a logarithmic pool (Genest and Zidek, Statistical Science 1986), which Zero Time Waste (Wolczyk et
al., NeurIPS 2021) forms among exits. As a softmax does not see a constant, logits do as well. The
weights are those of the least cross-entropy on held-out samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.bundle import Ensemble
from offramp.exits.temperature import losses
from offramp.tensors import Array

__all__ = ["combine", "fit_ensemble", "joint_classes"]

_FEWEST = 20
_SURE = 2.0  # standard errors
_MOST = 100.0

Floats = NDArray[np.float64]


def combine(ensemble: Ensemble, exit_logits: Array, end_logits: Array) -> Floats:
    """Return the logits of both together; all are (..., C)."""
    return np.asarray(
        ensemble.exit * np.asarray(exit_logits, dtype=np.float64)
        + ensemble.end * np.asarray(end_logits, dtype=np.float64)
    )


def joint_classes(ensemble: Ensemble, exit_logits: Array, end_logits: Array) -> NDArray[np.int64]:
    """Return the class that both answer together, (N,), of logits (N, C)."""
    return np.asarray(combine(ensemble, exit_logits, end_logits).argmax(axis=-1))


def fit_ensemble(exit_logits: Array, end_logits: Array, labels: Array) -> Ensemble | None:
    """Return the weights for logits (N, C), or None if the end alone is as good.

    Half of the samples fit what the other half tries, and the other way round: there the
    cross-entropy must be lower than the end's by two standard errors, and more answers right.
    """
    both, count = np.stack([exit_logits, end_logits]).astype(np.float64), len(labels)
    if count < _FEWEST:
        return None
    order = np.random.default_rng(0).permutation(count)
    saved, right = np.zeros(count), 0
    for fits, tries in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        alone, together = (
            np.tensordot(_weights(logits[:, fits], labels[fits]), logits[:, tries], 1)
            for logits in (both[1:], both)
        )
        wanted = labels[tries]
        saved[tries] = losses(alone, wanted) - losses(together, wanted)
        right += int((together.argmax(1) == wanted).sum() - (alone.argmax(1) == wanted).sum())
    if right <= 0 or saved.mean() <= _SURE * saved.std() / np.sqrt(count):
        return None
    exit_weight, end_weight = _weights(both, labels)
    return Ensemble(exit=float(exit_weight), end=float(end_weight)) if exit_weight > 0 else None


def _weights(logits: Floats, labels: Array) -> Floats:
    """Return the weights (M,) from 0 of M arrays of logits (M, N, C); their loss is convex."""
    from scipy.optimize import minimize

    def loss(weights: Floats) -> float:
        return float(losses(np.tensordot(weights, logits, 1), labels).mean())

    start, bounds = np.full(len(logits), 1 / len(logits)), [(0.0, _MOST)] * len(logits)
    return np.asarray(minimize(loss, start, method="L-BFGS-B", bounds=bounds).x)

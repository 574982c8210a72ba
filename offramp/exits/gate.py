"""Gates: small classifiers that numpy runs, for the exit policies that learn.

A gate has one hidden layer or none, and answers with probabilities:

    p = softmax(W2 tanh(W1 x + b1) + b2)

It is fitted on standardised features by conjugate gradients, to the weighted cross-entropy plus
``decay / 2`` times the squared weights. (L-BFGS took 12 times as long beside other work: scipy's
waits for BLAS threads.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from offramp.exits.policy import Parameters
from offramp.tensors import Array

__all__ = ["Gate", "balanced_weights", "fit_gate", "minimise", "standardise"]

Floats = NDArray[np.float64]

_WIDEST = 1024


@dataclass(frozen=True)
class Gate:
    """A fitted gate of D features and K answers.

    ``inner`` (D + 1, H) leads to the hidden layer, with H = 0 where there is none, ``outer``
    (H + 1 or D + 1, K) to the answers; the last row of each is the bias.
    """

    inner: Array
    outer: Array

    def probabilities(self, features: Array) -> Floats:
        """Return the probability of each answer, (N, K), from features (N, D)."""
        x = features
        if self.inner.shape[1]:
            x = np.tanh(x @ self.inner[:-1] + self.inner[-1])
        raw = x @ self.outer[:-1] + self.outer[-1]
        powers = np.exp(raw - raw.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)

    def to_arrays(self, prefix: str) -> dict[str, Array]:
        """Return the gate's arrays, their names beginning with ``prefix``."""
        return {f"{prefix}/{part.name}": getattr(self, part.name) for part in fields(self)}

    @staticmethod
    def read(parameters: Parameters, prefix: str) -> Gate:
        """Return the gate that `to_arrays` gave; raise `ValueError` if it is wider than any is.

        A small file could otherwise take much memory.
        """
        gate = Gate(*(parameters[f"{prefix}/{part.name}"] for part in fields(Gate)))
        if gate.inner.ndim != 2 or gate.inner.shape[1] > _WIDEST:
            raise ValueError(f"a hidden layer of shape {gate.inner.shape}")
        return gate


def standardise(features: Array) -> tuple[Floats, Floats]:
    """Return shift and scale that give each of D features mean 0 and spread 1; constants get 0."""
    x = np.asarray(features, dtype=np.float64)
    shift, spread = x.mean(axis=0), x.std(axis=0)
    varies = spread > 1e-9 * (1 + np.abs(shift))
    return shift, np.where(varies, 1 / np.where(varies, spread, 1), 0)


def balanced_weights(classes: Array) -> Floats:
    """Return weights (N,), of mean 1, that give every class that occurs the same say."""
    _, place, counts = np.unique(classes, return_inverse=True, return_counts=True)
    return np.asarray(len(classes) / (len(counts) * counts[place]))


def fit_gate(
    features: Array,
    targets: Array,
    *,
    hidden: int = 0,
    decay: float = 1e-3,
    weights: Array | None = None,
    seed: int = 0,
) -> Gate:
    """Fit a gate to features (N, D) and targets (N, K), one distribution for each sample.

    The same arguments give the same gate.
    """
    shift, scale = standardise(features)
    x = (np.asarray(features, dtype=np.float64) - shift) * scale
    shapes = [(x.shape[1] + 1, hidden), ((hidden or x.shape[1]) + 1, targets.shape[1])]
    weights = np.ones(len(x)) if weights is None else weights
    dice = np.random.default_rng(seed)
    start = [dice.normal(size=shape) / np.sqrt(shape[0]) for shape in shapes]
    start[1] *= 0  # the answers begin even

    def loss(parts: list[Floats]) -> tuple[float, list[Floats]]:
        inner, outer = parts
        h = np.tanh(x @ inner[:-1] + inner[-1]) if hidden else x
        raw = h @ outer[:-1] + outer[-1]
        raw -= raw.max(axis=1, keepdims=True)
        logs = raw - np.log(np.exp(raw).sum(axis=1, keepdims=True))
        back = (np.exp(logs) - targets) * weights[:, None] / len(x)
        value = -float((weights[:, None] * targets * logs).sum()) / len(x)
        slopes = [np.zeros_like(inner), _with_bias(h, back)]
        if hidden:
            slopes[0] = _with_bias(x, (back @ outer[:-1].T) * (1 - h * h))
        for part, slope in zip(parts, slopes, strict=True):
            value += decay / 2 * float((part[:-1] ** 2).sum())
            slope[:-1] += decay * part[:-1]
        return value, slopes

    inner, outer = minimise(loss, start)
    first = inner if hidden else outer
    first[-1] -= (shift * scale) @ first[:-1]
    first[:-1] *= scale[:, None]
    return Gate(inner, outer)


def minimise(
    loss: Callable[[list[Floats]], tuple[float, list[Floats]]], start: list[Floats]
) -> list[Floats]:
    """Return the arrays at which a function, which gives its slopes too, is least."""
    from scipy.optimize import minimize

    ends = np.cumsum([part.size for part in start])[:-1]

    def flat(values: Floats) -> tuple[float, Floats]:
        parts = [
            part.reshape(like.shape)
            for part, like in zip(np.split(values, ends), start, strict=True)
        ]
        value, slopes = loss(parts)
        return value, np.concatenate([slope.ravel() for slope in slopes])

    first = np.concatenate([part.ravel() for part in start])
    found = minimize(flat, first, jac=True, method="CG", options={"maxiter": 100}).x
    return [
        part.reshape(like.shape) for part, like in zip(np.split(found, ends), start, strict=True)
    ]


def _with_bias(inputs: Floats, back: Floats) -> Floats:
    return np.concatenate([inputs.T @ back, back.sum(axis=0, keepdims=True)])

"""Codecs for sequences that leave out the tokens which the tail does not need.

To first order, replacing a token by the mean of all changes the answers by the sum of the squares
of what that changes in each channel, weighted by how much the answers hang on the channel
(`offramp.codecs.steps`). Tokens of which that sum is small are dropped (token pruning, as in
DynamicViT, arXiv 2106.02034, and EViT, arXiv 2202.07800, which train a network for it; here it
stays as it is). The others are coded in context. A frame holds a bit for each token and the codes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from offramp.codecs.calibrated import CalibratedCodec, Learnt
from offramp.codecs.coded import Coded, few
from offramp.codecs.effect import Effect
from offramp.codecs.planes import Planes
from offramp.codecs.steps import find_scale, relative_steps
from offramp.errors import ConfigError
from offramp.tensors import Array, TensorSpec

__all__ = ["Tokens"]

_ROUNDING = 0.4
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # of tokens dropped, that are tried
_FOR_DROPPING = 0.5  # of the change that a level may make


@dataclass(frozen=True, eq=False)
class _Pruned(Learnt):
    """Which tokens stay, by a score, and how these are coded.

    A token scores the squares of its distance to ``filler`` float32 (D,), times ``weights``
    float32 (D,); those below ``threshold`` float32 () become the filler. Tokens are columns of the
    planes, (D, 1, T).
    """

    tokens: Coded
    weights: Array
    threshold: Array
    filler: Array

    def __post_init__(self) -> None:
        channels = self.planes.sides[0]
        for name, shape in (("weights", (channels,)), ("threshold", ()), ("filler", (channels,))):
            array = getattr(self, name)
            sound = array.dtype == np.float32 and array.shape == shape
            if not (sound and np.isfinite(array).all()):
                raise ConfigError(f"{name} of a token codec is float32 of {shape}, and finite")

    @property
    def planes(self) -> Planes:  # type: ignore[override]
        """Those of the whole sequence."""
        return self.tokens.planes

    def arrays(self) -> dict[str, Array]:
        """Return weights, threshold, filler and the model's arrays."""
        own = {"weights_of_tokens": self.weights, "threshold": self.threshold}
        return {**own, "filler": self.filler, **self.tokens.arrays()}

    def keeps(self, values: Array) -> Array:
        """Tell which tokens of (..., D, 1, T) stay: (..., T)."""
        return np.asarray(_scores(values, self.weights, self.filler) >= self.threshold)

    def encode(self, values: Array) -> bytes | None:
        """Return a bit for each token, and the coded codes of those that stay."""
        if not np.isfinite(values).all():
            return None
        kept = self.keeps(values)
        mask = np.packbits(kept).tobytes()
        if not kept.any():
            return mask
        coded = self.tokens.model.encode(np.ascontiguousarray(values[:, :, kept]))
        return None if coded is None else mask + coded

    def decode(self, payload: bytes | memoryview) -> Array | None:
        """Return the tokens that stayed, and the filler for the others."""
        count = self.planes.sides[2]
        size = -(-count // 8)
        bits = np.unpackbits(np.frombuffer(payload[:size], np.uint8))
        if len(payload) < size or bits[count:].any():
            return None
        kept, coded = bits[:count].astype(bool), payload[size:]
        values = np.repeat(self.filler[:, None, None], count, axis=2)
        if not kept.any():
            return None if len(coded) else values
        channels, height, _ = self.planes.sides
        found = self.tokens.model.decode(coded, (channels, height, int(kept.sum())))
        if found is None:
            return None
        values[:, :, kept] = found
        return values

    def prepare(self) -> None:
        """Compile the loops, or load them compiled."""
        self.tokens.prepare()


@dataclass(frozen=True)
class Tokens(CalibratedCodec[_Pruned]):
    """Tokens are dropped and the others coarsened until the answers change by a set amount.

    ``change`` is that amount, as of `offramp.codecs.context.Context`.
    """

    change: float = math.nan

    quick: ClassVar[bool] = False

    def supports(self, spec: TensorSpec) -> bool:
        """Say whether the tensor is a sequence of float32, (steps, features)."""
        return super().supports(spec) and len(spec.shape) == 2 and spec.shape[0] > 1

    def learnt_of(self, planes: Planes, arrays: Mapping[str, Array]) -> _Pruned:
        """Return a stored model."""
        from offramp.codecs.context_model import ContextModel

        model, names = dict(arrays), ("weights_of_tokens", "threshold", "filler")
        own = [model.pop(name, np.zeros(0)) for name in names]
        return _Pruned(Coded(planes, ContextModel.of(model), None), *own)

    def fit(self, samples: Array, effect: Effect) -> Self:
        """Return this codec with as few tokens and as coarse steps as the answers allow."""
        self.check(samples)
        from offramp.codecs.context_model import ContextModel, Quantiser, fit_model

        planes = Planes(samples.shape[1:], 1)
        values = planes.view(few(samples))
        relative = relative_steps(effect, planes)
        filler = values.mean(axis=(0, 2, 3), dtype=np.float64).astype(np.float32)
        weights = np.square(relative.min() / relative).astype(np.float32)
        allowed = self.change * effect.share
        threshold = _find_threshold(effect, planes, weights, filler, _FOR_DROPPING * allowed)
        stays = _scores(values, weights, filler) >= threshold
        row = np.ascontiguousarray(values.transpose(1, 2, 0, 3)[:, :, stays])
        middle = np.median(row, axis=(1, 2))

        def fitted(scale: float) -> ContextModel:
            steps = np.maximum(scale * relative, 1e-30).astype(np.float32)
            return fit_model(row[None], Quantiser(middle, steps, _ROUNDING, sparse=False))

        def change_at(scale: float) -> float:
            model = fitted(scale)

            def through(some: Array) -> Array:
                given = planes.view(some)
                left = _scores(given, weights, filler) >= threshold
                made = _replaced(given, left, filler)
                for one, keep, place in zip(given, left, made, strict=True):
                    if keep.any():
                        place[:, :, keep] = model.through(one[None, :, :, keep])[0]
                return planes.restore(made)

            return effect.of(through)

        largest = 4 * float(np.abs(row - middle[:, None, None]).max() / relative.min())
        start = math.sqrt(12 * allowed / planes.sides[0])
        scale = find_scale(change_at, allowed, start, max(largest, start))
        learnt = _Pruned(
            Coded(planes, fitted(scale), None), weights, np.array(threshold, np.float32), filler
        )
        return replace(self, learnt=learnt)


def _scores(values: Array, weights: Array, filler: Array) -> Array:
    """Return the score of each token of (..., D, 1, T): (..., T)."""
    off = np.square(values - filler[:, None, None])
    return np.asarray(np.einsum("...dht,d->...t", off, weights))


def _replaced(values: Array, kept: Array, filler: Array) -> Array:
    """Return (N, D, 1, T) with the filler in the place of tokens that do not stay, (N, T)."""
    return np.where(kept[:, None, None], values, filler[:, None, None])


def _find_threshold(
    effect: Effect, planes: Planes, weights: Array, filler: Array, allowed: float
) -> float:
    """Return the highest threshold tried at which dropping alone changes answers as allowed."""
    values = planes.view(effect.samples)
    scores = _scores(values, weights, filler)
    best = 0.0
    for share in _SHARES:
        threshold = float(np.quantile(scores, share))

        def drop(some: Array, threshold: float = threshold) -> Array:
            given = planes.view(some)
            kept = _scores(given, weights, filler) >= threshold
            return planes.restore(_replaced(given, kept, filler))

        if effect.of(drop) > allowed:
            break
        best = threshold
    return best

"""Codecs near the entropy limit: coarse codes, coded in the context of their neighbours.

Steps are chosen by what they do to the tail's answers, probabilities and centroids are learnt from
samples (`offramp.codecs.context_model`), and the codes go through a range coder
(`offramp.codecs.context_coder`). All of it is in the bundle; a frame holds the coded codes only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from offramp.codecs.coded import Coded, CodedCodec, few, learn_changes, models_of
from offramp.codecs.effect import Effect
from offramp.codecs.planes import Planes, best_axis
from offramp.codecs.steps import find_scale, relative_steps
from offramp.tensors import Array

if TYPE_CHECKING:
    from offramp.codecs.context_model import ContextModel

__all__ = ["Context"]

_ROUNDING = 0.4
_FEWER = 8  # times fewer while steps are searched


@dataclass(frozen=True)
class Context(CodedCodec[Coded]):
    """Codes whose steps change the tail's answers by a set amount on average.

    ``change`` is that amount, in nats (`offramp.codecs.effect.Effect`). Channels on which the
    answers hang get finer steps: each step is inverse to the square root of what a mean square
    error in that channel does to the answers, so that every channel loses the same for its bits.
    """

    change: float = math.nan

    quick: ClassVar[bool] = False

    def learnt_of(self, planes: Planes, arrays: Mapping[str, Array]) -> Coded:
        """Return a stored model."""
        return Coded(planes, *models_of(arrays))

    def fit(self, samples: Array, effect: Effect) -> Self:
        """Return this codec with steps that change the answers as much as they may."""
        self.check(samples)
        from offramp.codecs.context_model import Quantiser, fit_model

        planes = Planes(samples.shape[1:], best_axis(samples))
        values = planes.view(few(samples))
        relative = relative_steps(effect, planes)
        sparse = bool(values.min() >= 0)
        middle = np.median(values, axis=(0, 2, 3))
        offsets = np.zeros_like(middle) if sparse else middle

        def fitted(scale: float, rows: Array) -> ContextModel:
            steps = np.maximum(scale * relative, 1e-30).astype(np.float32)
            return fit_model(rows, Quantiser(offsets, steps, _ROUNDING, sparse))

        def change_at(scale: float) -> float:
            model = fitted(scale, values[: max(len(values) // _FEWER, 8)])
            return effect.of(lambda some: planes.restore(model.through(planes.view(some))))

        allowed = self.change * effect.share
        largest = 4 * float(np.abs(values - offsets[:, None, None]).max() / relative.min())
        start = math.sqrt(12 * allowed / planes.sides[0])
        scale = find_scale(change_at, allowed, start, max(largest, start))
        learnt = Coded(planes, fitted(scale, values), None)
        return replace(self, learnt=learn_changes(learnt, values))

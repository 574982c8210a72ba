"""Codecs for the latents of learned bottlenecks: one step for all, coded in context.

A bottleneck is trained with steps drawn at random (`offramp.training.bottleneck`), so a coarser
level needs no other weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from offramp.codecs.coded import Coded, CodedCodec, few, learn_changes, models_of
from offramp.codecs.effect import Effect
from offramp.codecs.planes import Planes
from offramp.tensors import Array

__all__ = ["Latent"]


@dataclass(frozen=True)
class Latent(CodedCodec[Coded]):
    """Multiples of ``step``, coded in context; the first dimension is that of the channels.

    Unlike `offramp.codecs.context.Context`, a code stands for its multiple and no centroid: that is
    what the decoder has learnt to read.
    """

    step: float = 1.0

    quick: ClassVar[bool] = False
    of_latents: ClassVar[bool] = True

    def learnt_of(self, planes: Planes, arrays: Mapping[str, Array]) -> Coded:
        """Return a stored model."""
        return Coded(planes, *models_of(arrays))

    def fit(self, samples: Array, effect: Effect) -> Self:
        """Return this codec with the probabilities of latents, (n, *shape)."""
        self.check(samples)
        from offramp.codecs.context_model import Quantiser, fit_model

        planes = Planes(samples.shape[1:], 0)
        none = np.zeros(planes.sides[0], np.float32)
        steps = np.full_like(none, self.step)
        values = planes.view(few(samples))
        model = fit_model(values, Quantiser(none, steps, 0.5, sparse=False))
        plain = replace(model, shifts=np.zeros_like(model.shifts))
        return replace(self, learnt=learn_changes(Coded(planes, plain, None), values))

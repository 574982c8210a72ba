"""Exit head `sequence`: every step answers, and the mean of their posteriors is the answer.

That is the frame-averaged posterior of early exits in speech recognition (arXiv 2309.09546,
Splitformer, arXiv 2506.18035), whose maximum or entropy decides whether a sample leaves. The
logits are the logarithms of the mean. Steps that only pad a sequence count like the others.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from offramp.exits.heads.head import HeadKind

__all__ = ["HEAD"]


class _MeanPosterior(nn.Module):
    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        steps, width = shape
        self.answer = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))
        self._log_steps = math.log(steps)

    def forward(self, feature: Tensor) -> Tensor:
        frames: Tensor = self.answer(feature)
        return frames.log_softmax(-1).logsumexp(1) - self._log_steps


HEAD = HeadKind("sequence", ("sequence",), _MeanPosterior)

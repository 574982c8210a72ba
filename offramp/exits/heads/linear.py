"""Exit head `linear`: average pooling, then one linear layer.

Image features are pooled to a grid of at most 4 x 4 cells, a sequence to its mean, which is then
normalised: tokens of a transformer differ in size from layer to layer. A vector is read as it is.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from offramp.exits.heads.head import HeadKind
from offramp.exits.heads.pooling import grid_pool

__all__ = ["HEAD"]

_GRID = 4


class _MeanOfSteps(nn.Module):
    def forward(self, steps: Tensor) -> Tensor:
        return steps.mean(1)


def _build(shape: tuple[int, ...], classes: int) -> nn.Module:
    if len(shape) == 1:
        return nn.Linear(shape[0], classes)
    if len(shape) == 2:
        return nn.Sequential(_MeanOfSteps(), nn.LayerNorm(shape[1]), nn.Linear(shape[1], classes))
    pool, cells = grid_pool(shape, _GRID)
    return nn.Sequential(pool, nn.Flatten(), nn.Linear(shape[0] * math.prod(cells), classes))


HEAD = HeadKind("linear", ("vector", "sequence", "image"), _build)

"""What several heads do to features: pool them, and read them as a few positions of one width."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Positions", "grid_pool"]


def grid_pool(shape: tuple[int, ...], side: int) -> tuple[nn.Module, tuple[int, ...]]:
    """Return average pooling to at most ``side`` cells a dimension, and the cells it makes.

    ``shape`` is (channels, height, width), or (channels, steps).
    """
    sides = shape[1:]
    window = tuple(-(-length // side) for length in sides)
    cells = tuple(-(-length // step) for length, step in zip(sides, window, strict=True))
    if len(window) == 1:
        return nn.AvgPool1d(window[0], ceil_mode=True), cells
    return nn.AvgPool2d((window[0], window[1]), ceil_mode=True), cells


class Positions(nn.Module):
    """Reads a feature as (batch, positions, width), each position knowing where it is.

    Image features are pooled to at most 6 x 6 positions, sequences to at most 36 steps.
    """

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        self._steps_first = len(shape) == 2
        channels_first = shape[::-1] if self._steps_first else shape
        self.pool, cells = grid_pool(channels_first, 36 if self._steps_first else 6)
        self.count = cells[0] if self._steps_first else cells[0] * cells[1]
        self.norm = nn.LayerNorm(channels_first[0])
        self.widen = nn.Linear(channels_first[0], width)
        self.where = nn.Parameter(torch.randn(self.count, width) * 0.02)

    def forward(self, feature: Tensor) -> Tensor:
        """Return the positions of features (batch, ...)."""
        x = self.pool(feature.transpose(1, 2) if self._steps_first else feature)
        x = x.flatten(2).transpose(1, 2)
        positions: Tensor = self.widen(self.norm(x)) + self.where
        return positions

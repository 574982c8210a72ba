"""Exit head `linear`: average pooling to a coarse grid, then one linear layer."""

from __future__ import annotations

from torch import nn

__all__ = ["linear_head"]

_GRID = 4


def linear_head(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """Return a head for features of shape (channels, height, width)."""
    channels, height, width = shape
    window = (-(-height // _GRID), -(-width // _GRID))
    cells = -(-height // window[0]) * -(-width // window[1])
    return nn.Sequential(
        nn.AvgPool2d(window, ceil_mode=True),
        nn.Flatten(),
        nn.Linear(channels * cells, classes),
    )

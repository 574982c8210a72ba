"""Exit head `local`: two small convolutions before pooling, for boundaries with local features.

Early features are not linearly separable, and a convolutional head reads them better
(local perception heads of LGViT, arXiv 2308.00255).
"""

from __future__ import annotations

from torch import nn

__all__ = ["local_head"]

_SIDE = 12
_WIDTH = 48


def local_head(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """Return a head for features of shape (channels, height, width)."""
    channels, height, width = shape
    return nn.Sequential(
        nn.AvgPool2d(max(min(height, width) // _SIDE, 1)),
        nn.Conv2d(channels, _WIDTH, 3, 2, 1, bias=False),
        nn.BatchNorm2d(_WIDTH),
        nn.ReLU(),
        nn.Conv2d(_WIDTH, _WIDTH, 3, 1, 1, bias=False),
        nn.BatchNorm2d(_WIDTH),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(_WIDTH, classes),
    )

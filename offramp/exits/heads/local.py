"""Exit head `local`: local perception before pooling, for shallow boundaries.

Early features are not linearly separable, and a head that looks at neighbourhoods reads them better
(local perception head of LGViT, arXiv 2308.00255): a 1 x 1 convolution that expands, a 3 x 3
depth-wise one, a 1 x 1 one back, round a shortcut, then pooling and a linear layer. Large features
are pooled first, so that the head costs little beside the network. Over a sequence the
convolutions are along its steps.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from offramp.exits.heads.head import HeadKind
from offramp.exits.heads.pooling import grid_pool

__all__ = ["HEAD"]

_SIDE, _GRID = 10, 4
_STEPS, _SPANS = 32, 8
_EXPANSION, _LEAST, _MOST = 2, 64, 128


class _LocalPerception(nn.Module):
    """The residual block, over (batch, channels, height, width) or (batch, channels, steps)."""

    def __init__(self, channels: int, dimensions: int) -> None:
        super().__init__()
        conv: type[nn.Conv1d | nn.Conv2d] = nn.Conv1d if dimensions == 1 else nn.Conv2d
        norm: type[nn.BatchNorm1d | nn.BatchNorm2d] = (
            nn.BatchNorm1d if dimensions == 1 else nn.BatchNorm2d
        )
        width = min(max(_EXPANSION * channels, _LEAST), max(_MOST, channels))
        self.block = nn.Sequential(
            conv(channels, width, 1, bias=False), norm(width), nn.ReLU(),
            conv(width, width, 3, padding=1, groups=width, bias=False), norm(width), nn.ReLU(),
            conv(width, channels, 1, bias=False), norm(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        seen: Tensor = self.block(x)
        return (x + seen).relu()


class _ChannelsFirst(nn.Module):
    def forward(self, steps: Tensor) -> Tensor:
        return steps.transpose(1, 2)


def _build(shape: tuple[int, ...], classes: int) -> nn.Module:
    sequence = len(shape) == 2
    channels, *sides = reversed(shape) if sequence else shape
    coarse, places = grid_pool((channels, *sides), _STEPS if sequence else _SIDE)
    pool, cells = grid_pool((channels, *places), _SPANS if sequence else _GRID)
    return nn.Sequential(
        *([_ChannelsFirst()] if sequence else []),
        coarse,
        _LocalPerception(channels, len(sides)),
        pool,
        nn.Flatten(),
        nn.Linear(channels * math.prod(cells), classes),
    )


HEAD = HeadKind("local", ("sequence", "image"), _build)

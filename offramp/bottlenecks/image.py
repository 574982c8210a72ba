"""The bottleneck of image features, after the autoencoders of learned image compression.

Ballé, Laparra and Simoncelli (arXiv 1611.01704) have the pair of strided and transposed
convolutions; here the encoder, which a device runs, is kept to two layers, and the decoder's
residual blocks are the server's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from offramp.bottlenecks.bottleneck import Parts

__all__ = ["build"]

_LEAST_SIDE = 4  # of which half the places still say where things are


def build(shape: tuple[int, ...]) -> Parts:
    """Return the parts for features (channels, height, width)."""
    channels, height, width = shape
    stride = 2 if min(height, width) >= _LEAST_SIDE else 1
    hidden, latents = -(-channels * 3 // 2), -(-channels // 2)
    encoder = nn.Sequential(
        nn.Conv2d(channels, hidden, 3, stride, 1, bias=False),
        nn.BatchNorm2d(hidden),
        nn.ReLU(),
        nn.Conv2d(hidden, latents, 1),
    )
    decoder = _Decoder(latents, hidden, channels, stride, (height, width))
    return Parts(encoder, decoder, (latents, -(-height // stride), -(-width // stride)), 0)


class _Decoder(nn.Module):
    def __init__(
        self, latents: int, hidden: int, channels: int, stride: int, sides: tuple[int, int]
    ) -> None:
        super().__init__()
        self.widen = nn.Conv2d(latents, hidden, 3, 1, 1)
        self.blocks = nn.Sequential(_Block(hidden), _Block(hidden))
        self.out = nn.Conv2d(hidden, channels * stride * stride, 1)
        self.stride, self.sides = stride, sides

    def forward(self, latent: Tensor) -> Tensor:
        found = self.out(self.blocks(torch.relu(self.widen(latent))))
        if self.stride > 1:
            found = F.pixel_shuffle(found, self.stride)
        height, width = self.sides
        restored: Tensor = found[:, :, :height, :width]
        return restored


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, 1, 1)
        self.second = nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(torch.relu(self.first(x))))

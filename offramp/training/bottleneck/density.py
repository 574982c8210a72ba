"""How many bits latents take: a density for each channel, learnt with the bottleneck."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["Density"]

_COMPONENTS = 3
_LEAST = 1e-9


class Density(nn.Module):
    """A mixture of logistic distributions for each channel, the first dimension of a latent.

    A step around a value has the probability that the distribution function gains across it
    (Ballé et al., arXiv 1802.01436; the mixture as in PixelCNN++, arXiv 1701.05517).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, _COMPONENTS))
        self.mean = nn.Parameter(torch.linspace(-1, 1, _COMPONENTS).repeat(channels, 1))
        self.scale = nn.Parameter(torch.zeros(channels, _COMPONENTS))

    def bits(self, latents: Tensor, steps: Tensor) -> Tensor:
        """Return the bits of each sample (N,) if latents are rounded to multiples of its step."""
        rows = latents.flatten(2) if latents.ndim > 2 else latents[:, :, None]
        half = steps[:, None, None, None] / 2
        off = rows[..., None] - self.mean[:, None]
        inverse = torch.exp(-self.scale)[:, None]
        # Both ends are mirrored to the lower tail, where floats tell small shares apart.
        sign = torch.where(off > 0, -1.0, 1.0)
        upper, lower = (off + half) * inverse, (off - half) * inverse
        share = (torch.sigmoid(sign * upper) - torch.sigmoid(sign * lower)).abs()
        mixed = (share * self.weight.softmax(1)[:, None]).sum(3)
        return -torch.log(mixed + _LEAST).flatten(1).sum(1) / math.log(2)

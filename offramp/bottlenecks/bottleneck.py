"""The pair of networks at a bottleneck: an encoder for the device, a decoder for the server."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Bottleneck", "Decoder", "Parts"]


@dataclass(frozen=True)
class Parts:
    """An encoder and what undoes it, and the shape of one latent.

    ``channels`` is the dimension of a feature, without the batch, along which scales differ; the
    first dimension of a latent with more than one is that of its channels too.
    """

    encoder: nn.Module
    decoder: nn.Module
    latent_shape: tuple[int, ...]
    channels: int


class Decoder(nn.Module):
    """What makes features of latents: what its ``inner`` network says, in the features' units.

    Those are the mean and the deviation, channel by channel, of what it was fitted to.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, parts: Parts, shape: tuple[int, ...], rectified: bool) -> None:
        super().__init__()
        self.inner = parts.decoder
        sides = [size if at == parts.channels else 1 for at, size in enumerate(shape)]
        self.register_buffer("mean", torch.zeros(sides))
        self.register_buffer("deviation", torch.ones(sides))
        self.rectified = rectified

    def fit(self, features: Tensor) -> None:
        """Take over mean and deviation of features (samples, *shape)."""
        others = [0, *(at + 1 for at, size in enumerate(self.mean.shape) if size == 1)]
        self.mean.copy_(features.mean(others, keepdim=True)[0])
        self.deviation.copy_(features.std(others, keepdim=True)[0].clamp(min=1e-6))

    def forward(self, latent: Tensor) -> Tensor:
        """Return features, float32 (samples, *shape)."""
        found: Tensor = self.inner(latent) * self.deviation + self.mean
        return found.relu() if self.rectified else found


class Bottleneck(nn.Module):
    """An encoder from features to latents, and a decoder back, for features of one shape."""

    def __init__(self, parts: Parts, shape: tuple[int, ...], rectified: bool) -> None:
        super().__init__()
        self.shape, self.latent_shape, self.rectified = shape, parts.latent_shape, rectified
        self.encoder = parts.encoder
        self.decoder = Decoder(parts, shape, rectified)

    def forward(self, feature: Tensor) -> Tensor:
        """Return what becomes of features if latents cross as they are."""
        restored: Tensor = self.decoder(self.encoder(feature))
        return restored

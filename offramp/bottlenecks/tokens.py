"""The bottlenecks of sequences and of vectors: each token by itself and its two neighbours."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from offramp.bottlenecks.bottleneck import Parts

__all__ = ["build_sequence", "build_vector"]

_NARROWER = 4


def build_sequence(shape: tuple[int, ...]) -> Parts:
    """Return the parts for features (steps, features)."""
    steps, features = shape
    latents = -(-features // _NARROWER)
    encoder = nn.Sequential(
        _Turn(),
        nn.Conv1d(features, features, 3, 1, 1, bias=False),
        nn.BatchNorm1d(features),
        nn.ReLU(),
        nn.Conv1d(features, latents, 1),
    )
    decoder = nn.Sequential(
        nn.Conv1d(latents, features, 3, 1, 1), nn.ReLU(), _Turn(),
        _Block(features), _Block(features), nn.Linear(features, features),
    )  # fmt: skip
    return Parts(encoder, decoder, (latents, steps), 1)


def build_vector(shape: tuple[int, ...]) -> Parts:
    """Return the parts for features (features,)."""
    (features,) = shape
    latents = -(-features // _NARROWER)
    encoder = nn.Sequential(
        nn.Linear(features, features, bias=False),
        nn.BatchNorm1d(features),
        nn.ReLU(),
        nn.Linear(features, latents),
    )
    decoder = nn.Sequential(
        nn.Linear(latents, features), nn.ReLU(), _Block(features), nn.Linear(features, features)
    )
    return Parts(encoder, decoder, (latents,), 0)


class _Turn(nn.Module):
    """From (samples, steps, features) to (samples, features, steps), and back."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, 2 * width)
        self.second = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = x + self.second(torch.relu(self.first(x)))
        return found

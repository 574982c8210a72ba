"""Exit head `latent`: a few learned vectors read the features by cross-attention.

The classification then needs no feature that is linearly separable (Dynamic Perceiver, arXiv
2306.11248). There the latent code goes on from one exit to the next; here each exit has its own and
starts anew, so a later exit does not build on what an earlier one has read.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from offramp.exits.heads.attention import Attention
from offramp.exits.heads.head import HeadKind
from offramp.exits.heads.pooling import Positions

__all__ = ["HEAD"]

_LATENTS, _WIDTH, _HEADS = 4, 64, 4


class _LatentReader(nn.Module):
    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.positions = Positions(shape, _WIDTH)
        self.norm = nn.LayerNorm(_WIDTH)
        self.latents = nn.Parameter(torch.randn(_LATENTS, _WIDTH))
        self.read = Attention(_WIDTH, _HEADS)
        self.think = nn.Sequential(
            nn.LayerNorm(_WIDTH), nn.Linear(_WIDTH, 2 * _WIDTH), nn.ReLU(),
            nn.Linear(2 * _WIDTH, _WIDTH),
        )  # fmt: skip
        self.answer = nn.Sequential(nn.LayerNorm(_WIDTH), nn.Linear(_WIDTH, classes))

    def forward(self, feature: Tensor) -> Tensor:
        code = self.latents + self.read(self.latents, self.norm(self.positions(feature)))
        code = code + self.think(code)
        logits: Tensor = self.answer(code.mean(1))
        return logits


HEAD = HeadKind("latent", ("sequence", "image"), _LatentReader)

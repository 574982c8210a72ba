"""Exit head `latent`: a few learned vectors read the features by cross-attention.

The classification then needs no feature that is linearly separable (Dynamic Perceiver, arXiv
2306.11248). As there, the vectors go on from exit to exit: the next such head lets them read each
other, and then its own features, so that it builds on what earlier ones have read. Only the first
one starts from vectors that it has learnt.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from offramp.exits.heads.attention import Attention
from offramp.exits.heads.head import CarryingHead, HeadKind
from offramp.exits.heads.pooling import Positions

__all__ = ["HEAD"]

_LATENTS, _WIDTH, _HEADS = 4, 64, 4


class _LatentReader(CarryingHead):
    code_shape = (_LATENTS, _WIDTH)

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

    def follow(self, path: str) -> None:
        """Go on from another exit's code, which takes the place of the vectors of its own."""
        super().follow(path)
        del self.latents
        self.exchange = Attention(_WIDTH, _HEADS)

    def carry(self, feature: Tensor, code: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.follows is None:
            code = self.latents
        else:
            assert code is not None
            code = code + self.exchange(code, code)
        code = code + self.read(code, self.norm(self.positions(feature)))
        code = code + self.think(code)
        return self.answer(code.mean(1)), code


HEAD = HeadKind("latent", ("sequence", "image"), _LatentReader)

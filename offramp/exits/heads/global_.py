"""Exit head `global`: attention over pooled positions, for deep boundaries.

Tokens or places are averaged to a few positions, these attend to each other round a shortcut, and
their mean is read by a linear layer (global aggregation head of LGViT, arXiv 2308.00255).
"""

from __future__ import annotations

from torch import Tensor, nn

from offramp.exits.heads.attention import Attention
from offramp.exits.heads.head import HeadKind
from offramp.exits.heads.pooling import Positions

__all__ = ["HEAD"]

_WIDTH, _HEADS = 64, 4


class _GlobalAggregation(nn.Module):
    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.positions = Positions(shape, _WIDTH)
        self.norm = nn.LayerNorm(_WIDTH)
        self.attention = Attention(_WIDTH, _HEADS)
        self.answer = nn.Sequential(nn.LayerNorm(_WIDTH), nn.Linear(_WIDTH, classes))

    def forward(self, feature: Tensor) -> Tensor:
        x = self.positions(feature)
        seen = self.norm(x)
        x = x + self.attention(seen, seen)
        logits: Tensor = self.answer(x.mean(1))
        return logits


HEAD = HeadKind("global", ("sequence", "image"), _GlobalAggregation)

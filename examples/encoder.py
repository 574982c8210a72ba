"""An encoder layer for sequences of tokens or audio frames."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["EncoderLayer"]


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward part, each normalised before (arXiv 2002.04745).

    ``forward`` takes (batch, length, width), and (batch, length) that is true where there is a
    token. Elsewhere its output is zero, so that what reads it needs no mask.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.expand, self.contract = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        x = x + self._attention(self.norm1(x), present)
        x = x + self.dropout(self.contract(F.gelu(self.expand(self.norm2(x)))))
        return x if present is None else x * present.unsqueeze(2)

    def _attention(self, x: Tensor, present: Tensor | None) -> Tensor:
        split = self.attend(x).unflatten(2, (3, self.heads, x.shape[2] // self.heads))
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        scores = query @ key.transpose(2, 3) * query.shape[3] ** -0.5
        if present is not None:
            scores = scores.masked_fill(~present[:, None, None, :], -1e4)
        return self.project((scores.softmax(3) @ value).transpose(1, 2).flatten(2))

"""Attention of several heads, in operations that every backend has."""

from __future__ import annotations

import math

from torch import Tensor, nn

__all__ = ["Attention"]


class Attention(nn.Module):
    """Scaled dot-product attention (Vaswani et al., arXiv 1706.03762) at one width.

    ``queries`` are (batch, n, width), or (n, width) where they are the same for all samples;
    ``read`` is (batch, m, width). Returns (batch, n, width).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads, self._scale = heads, 1 / math.sqrt(width / heads)
        self.query, self.key, self.value, self.mix = (nn.Linear(width, width) for _ in range(4))

    def forward(self, queries: Tensor, read: Tensor) -> Tensor:
        """Let each query read from all positions."""
        query, key, value = (
            self._split(project(x))
            for project, x in ((self.query, queries), (self.key, read), (self.value, read))
        )
        weights = (query @ key.transpose(-1, -2) * self._scale).softmax(-1)
        mixed: Tensor = self.mix((weights @ value).transpose(-2, -3).flatten(-2))
        return mixed

    def _split(self, x: Tensor) -> Tensor:
        split: Tensor = x.unflatten(-1, (self._heads, -1))  # type: ignore[no-untyped-call]
        return split.transpose(-2, -3)

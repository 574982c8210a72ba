"""Small networks of any shape: layers that read any of the values before them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

__all__ = ["Shape", "build", "shapes"]


@dataclass(frozen=True)
class Shape:
    """For each layer, which values it adds up, and how many features it makes."""

    reads: tuple[tuple[int, ...], ...]
    widths: tuple[int, ...]


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    count = draw(st.integers(1, 7))
    reads = [
        tuple(sorted(draw(st.sets(st.integers(0, at), min_size=1, max_size=3))))
        for at in range(count)
    ]
    return Shape(tuple(reads), tuple(draw(st.integers(1, 6)) for _ in range(count)))


class _Network(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        widths = (4, *shape.widths)
        self.reads = shape.reads
        self.layers = nn.ModuleList(
            nn.Linear(sum(widths[at] for at in reads), width)
            for reads, width in zip(shape.reads, shape.widths, strict=True)
        )
        self.answer = nn.Linear(widths[-1] + widths[0], 3)

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for reads, layer in zip(self.reads, self.layers, strict=True):
            values.append(torch.tanh(layer(torch.cat([values[at] for at in reads], 1))))
        return self.answer(torch.cat([values[-1], x], 1))


def build(shape: Shape) -> nn.Module:
    torch.manual_seed(0)
    return _Network(shape).eval()

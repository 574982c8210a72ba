"""A residual network for CIFAR-10; its exits are put on when it is compiled."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from examples.cluttered_digits.model import Block
from examples.training import load_weights

__all__ = ["CifarNet", "trained"]

WEIGHTS = Path(__file__).with_name("weights.safetensors")


class CifarNet(nn.Module):
    """A 16-layer residual network, 16 to 128 wide, for uint8 images (batch, 32, 32, 3).

    30 million multiply-adds, 0.7 million weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.stage1 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.stage2 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1))
        self.stage3 = nn.Sequential(Block(64, 128, 2), Block(128, 128, 1))
        self.classify = nn.Linear(128, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = image.permute(0, 3, 1, 2).to(torch.float32) / 64.0 - 1.9
        x = self.stage3(self.stage2(self.stage1(self.stem(x))))
        return self.classify(x.mean((2, 3)))


def trained() -> nn.Module:
    """Return the network with the weights that ``train.py`` wrote beside this file."""
    return load_weights(CifarNet(), WEIGHTS)

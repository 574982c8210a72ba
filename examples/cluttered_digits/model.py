"""The residual network of the cluttered-digits example, with three early exits."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from offramp.capture.early_exit import EarlyExitModel

__all__ = ["DigitNet", "build", "trained"]


class Block(nn.Module):
    """Basic residual block (He et al., arXiv 1512.03385)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class DigitNet(nn.Module):
    """A 26-layer residual network that takes uint8 images of shape (batch, 96, 96, 3).

    Normalisation is part of the network, so that what crosses ``cut=0`` is the image itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()
        )
        self.stage1 = _stage(32, 32, 2, stride=1)
        self.stage2 = _stage(32, 48, 3, stride=2)
        self.stage3 = _stage(48, 64, 5, stride=2)
        self.stage4 = _stage(64, 96, 2, stride=2)
        self.classify = nn.Linear(96, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = image.permute(0, 3, 1, 2).to(torch.float32) / 64.0 - 2.0
        x = self.stage4(self.stage3(self.stage2(self.stage1(self.stem(x)))))
        return self.classify(x.mean((2, 3)))


def build() -> EarlyExitModel:
    """Return an untrained network with exits after stage 1, stage 2 and amid stage 3."""
    model = DigitNet()
    shapes = {"stage1": (32, 48), "stage2": (48, 24), "stage3.2": (64, 12)}
    return EarlyExitModel(model, {path: _head(*shape) for path, shape in shapes.items()})


def trained() -> EarlyExitModel:
    """Return the network with the weights that ``train.py`` wrote beside this file."""
    model = build()
    model.load_state_dict(load_file(Path(__file__).with_name("weights.safetensors")))
    return model


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    first = Block(inputs, outputs, stride)
    return nn.Sequential(first, *(Block(outputs, outputs, 1) for _ in range(blocks - 1)))


def _head(channels: int, side: int, width: int = 48) -> nn.Sequential:
    """Two small dense convolutions before pooling: larger than the exit head `local`."""
    return nn.Sequential(
        nn.AvgPool2d(side // 12),
        nn.Conv2d(channels, width, 3, 2, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, 1, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, 10),
    )

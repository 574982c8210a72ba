"""Train the CIFAR-10 network: ``python -m examples.cifar10.train``."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from examples import training
from examples.cifar10 import data
from examples.cifar10.model import WEIGHTS, CifarNet

SHIFT = 4


def vary(images: Tensor, random: Generator) -> Tensor:
    """Mirror half of the images and move each by up to 4 pixels; grey comes in at the border."""
    count, height, width, _ = images.shape
    padded = F.pad(images, (0, 0, SHIFT, SHIFT, SHIFT, SHIFT), value=120)
    top, left = torch.randint(0, 2 * SHIFT + 1, (2, count, 1), generator=random)
    rows, columns = torch.arange(height) + top, torch.arange(width) + left
    mirrored = torch.rand(count, 1, generator=random) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    return padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


if __name__ == "__main__":
    recipe = training.Recipe(epochs=12, rate=5e-3, smoothing=0.05, augment=vary)
    training.train(CifarNet, data, recipe, WEIGHTS)

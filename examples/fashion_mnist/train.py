"""Train the Fashion-MNIST network: ``python -m examples.fashion_mnist.train``."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from examples import training
from examples.fashion_mnist import data
from examples.fashion_mnist.model import WEIGHTS, FashionNet


def vary(images: Tensor, random: Generator) -> Tensor:
    """Mirror half of the images."""
    mirrored = torch.rand(len(images), 1, 1, 1, generator=random) < 0.5
    return torch.where(mirrored, images.flip(2), images)


if __name__ == "__main__":
    recipe = training.Recipe(epochs=3, rate=5e-3, weight_decay=0.01, smoothing=0.0, augment=vary)
    training.train(FashionNet, data, recipe, WEIGHTS)

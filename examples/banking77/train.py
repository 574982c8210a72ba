"""Train the Banking77 transformer: ``python -m examples.banking77.train``."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from examples import training
from examples.banking77 import data
from examples.banking77.model import WEIGHTS, IntentNet
from examples.banking77.vocabulary import PADDING, UNKNOWN


def vary(pieces: Tensor, random: Generator) -> Tensor:
    """Make a tenth of the pieces unknown."""
    chosen = torch.rand(pieces.shape, generator=random) < 0.1
    return pieces.masked_fill(chosen & (pieces != PADDING), UNKNOWN)


if __name__ == "__main__":
    recipe = training.Recipe(epochs=15, rate=2e-3, augment=vary, batch=64)
    training.train(IntentNet, data, recipe, WEIGHTS)

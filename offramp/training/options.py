"""What a user chooses about a training, and what a training says of its progress."""

from __future__ import annotations

import math
from collections.abc import Sized
from dataclasses import dataclass

import torch

from offramp.errors import ConfigError

__all__ = ["InEpochs", "Progress", "TrainingOptions", "one_cycle"]

_WARM_UP, _START, _END = 0.3, 1 / 25, 1e-4


@dataclass(frozen=True)
class TrainingOptions:
    """How a recipe is carried out.

    ``rate`` is the highest learning rate of the heads and ``backbone_rate`` that of the model,
    where the recipe trains it. A stage ends early if for ``patience`` epochs the held-out samples
    were answered no better. ``device`` is "cpu" or "cuda".
    """

    epochs: int = 8
    seed: int = 0
    batch: int = 128
    rate: float = 5e-3
    backbone_rate: float = 1e-3
    weight_decay: float = 0.01
    patience: int = 5
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.device.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError("there is no CUDA device here; train with --device cpu")

    def describe(self) -> dict[str, str]:
        """Return what decides the result, by name."""
        names = ("epochs", "seed", "batch", "rate", "backbone_rate", "weight_decay", "patience")
        return {name: str(getattr(self, name)) for name in names}


class InEpochs:
    """What goes through ``training`` samples epoch by epoch, as ``options`` say."""

    training: Sized
    options: TrainingOptions

    @property
    def batch(self) -> int:
        """The samples of a batch."""
        return min(self.options.batch, len(self.training))

    @property
    def steps(self) -> int:
        """The batches of an epoch; samples too few for another one are left for later epochs."""
        return len(self.training) // self.batch


@dataclass(frozen=True)
class Progress:
    """How far a training is: an epoch of a stage (both from 1), and a step of it.

    ``loss`` is the mean of the epoch so far. ``accuracies``, of each exit and the model, are there
    when an epoch is done; without held-out samples there are none of them, ``()``.
    """

    stage: str
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracies: tuple[float, ...] | None = None


def one_cycle(done: float) -> float:
    """Return the rate as a share of the highest when a share of the steps is ``done``.

    It rises as a half cosine for three tenths and falls as one to the end (Smith and Topin, arXiv
    1708.07120).
    """
    if done < _WARM_UP:
        return _START + (1 - _START) * (1 - math.cos(math.pi * done / _WARM_UP)) / 2
    left = (1 - done) / (1 - _WARM_UP)
    return _END + (1 - _END) * (1 - math.cos(math.pi * left)) / 2

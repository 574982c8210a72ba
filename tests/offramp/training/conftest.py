"""A small network and samples of three classes, quick to train."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from offramp.samples import LabelledSamples
from offramp.training import recipes
from offramp.training.attach import attach_exits
from offramp.training.options import TrainingOptions
from offramp.training.samples import ArraySamples
from offramp.training.setup import TrainingSetup
from offramp.training.survey import survey


class Small(nn.Module):
    """Two blocks with batch statistics and dropout, so that modes and randomness matter."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Sequential(
            nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.1)
        )
        self.answer = nn.Linear(6, 3)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = self.second(self.first(image))
        return {"feature": x.mean((2, 3)), "logits": self.answer(x.mean((2, 3)))}


def draw(seed: int, count: int) -> LabelledSamples:
    """Images in which the channel of the label is brighter."""
    dice = np.random.default_rng(seed)
    labels = dice.integers(0, 3, count)
    images = dice.normal(size=(count, 3, 8, 8)).astype(np.float32)
    images[np.arange(count), labels] += 1.5
    return LabelledSamples((images,), labels)


@pytest.fixture
def make_setup() -> Callable[..., TrainingSetup]:
    """Makes the same training each time, with exits of kinds `local` and `linear`."""

    def make(recipe: str = "frozen", **options: object) -> TrainingSetup:
        training, held_out = (ArraySamples(draw(seed, count)) for seed, count in ((1, 90), (2, 60)))
        torch.manual_seed(3)
        model = Small()
        found = survey(model, training.batch(range(2)))
        exits = attach_exits(model, found, {"second": "linear", "first": "local"}, seed=4)
        chosen = TrainingOptions(**{"epochs": 4, "batch": 16, "seed": 5, **options})  # type: ignore[arg-type]
        return TrainingSetup(exits, recipes.get(recipe), training, held_out, chosen)

    return make

"""A small network and samples of three classes, quick to train; the same as a user's module."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor, nn

from offramp.samples import LabelledSamples
from offramp.training import recipes
from offramp.training.attach import attach_exits
from offramp.training.command import train
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


USER_MODULE = """
import numpy as np, torch
from torch import nn
from torch.utils.data import TensorDataset

def build(width=8):
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU()),
        nn.Sequential(nn.Conv2d(width, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU()),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))

def wider():
    return build(9)

def draw(seed, count):
    dice = np.random.default_rng(seed)
    labels = dice.integers(0, 3, count)
    images = dice.normal(size=(count, 3, 8, 8)).astype(np.float32)
    images[np.arange(count), labels] += 1
    return images, labels

def training():
    images, labels = draw(1, 200)
    return TensorDataset(torch.tensor(images), torch.tensor(labels))

def held_out():
    return draw(2, 60)

def other():
    return draw(4, 200)

def other_held_out():
    return draw(5, 60)

def other_weights():
    return build()

def by_chance():
    images, labels = draw(1, 200)
    rows = np.random.permutation(200)[:50]
    drawn.append(torch.rand(50).tolist())
    return images[rows], labels[rows]

def held_out_by_chance():
    return by_chance()

drawn = []

def inputs():
    return draw(3, 100)[0]

def beyond():
    return draw(1, 20)[0], np.arange(20)

def none():
    return draw(1, 0)

def no_scores():
    return nn.Sequential(nn.Conv2d(3, 4, 3))

def number():
    return 3

def with_exits():
    from offramp.capture.early_exit import EarlyExitModel
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    return EarlyExitModel(build(), {"0": head})
"""


@pytest.fixture
def users_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "trained_by_test.py").write_text(USER_MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    monkeypatch.delitem(sys.modules, "trained_by_test", raising=False)
    return "trained_by_test"


@pytest.fixture
def run(users_module: str) -> Callable[..., Result]:
    """Runs the sub-command on the user's module, with a few options set."""

    def run(words: str = "", model: str = "build", data: str = "training") -> Result:
        given = f"{users_module}:{model} --data {users_module}:{data} {words} -o my.trained"
        return CliRunner().invoke(train, given.split())

    return run

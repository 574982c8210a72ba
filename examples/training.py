"""Training of the examples' networks, and their weights."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from examples.dataset import Samples
from offramp.errors import ConfigError

__all__ = ["Recipe", "accuracy", "load_weights", "train"]


def _as_they_are(inputs: Tensor, random: Generator) -> Tensor:
    return inputs


@dataclass(frozen=True)
class Recipe:
    """AdamW with a one-cycle rate up to ``rate``, on cross-entropy with smoothed labels.

    ``augment`` changes a batch of inputs at random; ``bfloat16`` computes in it where that is
    safe.
    """

    epochs: int
    rate: float
    weight_decay: float = 0.05
    smoothing: float = 0.1
    augment: Callable[[Tensor, Generator], Tensor] = _as_they_are
    bfloat16: bool = True
    batch: int = 128


def train(
    network: Callable[[], nn.Module], data: ModuleType, recipe: Recipe, weights: Path
) -> None:
    """Train as the command line says (``--epochs``, ``--seed``) and write the last weights.

    Accuracy on the held-out samples is printed for each epoch, on the test samples at the end;
    nothing is chosen by either. Reproducible by seed on one kind of machine and torch version.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=recipe.epochs)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    held_out = data.held_out()
    model = network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    started = time.perf_counter()
    losses = _fit(model, data.train(), replace(recipe, epochs=options.epochs), options.seed)
    for epoch, loss in enumerate(losses, 1):
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, weights)
        print(
            f"epoch {epoch}/{options.epochs}  loss {loss:.3f}  held-out accuracy "
            f"{accuracy(model, held_out):.4f}  {time.perf_counter() - started:.0f} s",
            flush=True,
        )
    print(f"test accuracy {accuracy(model, data.test()):.4f}")


def _fit(model: nn.Module, samples: Samples, recipe: Recipe, seed: int) -> Iterator[float]:
    """Train, and yield the last loss of each epoch. Samples that fill no batch sit it out."""
    random = torch.Generator().manual_seed(seed)
    inputs, labels = map(torch.from_numpy, samples)
    steps = len(labels) // recipe.batch
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=recipe.epochs * steps
    )
    for _ in range(recipe.epochs):
        model.train()
        order = torch.randperm(len(labels), generator=random)
        for rows in order[: steps * recipe.batch].split(recipe.batch):
            loss = _loss(model, recipe.augment(inputs[rows], random), labels[rows], recipe)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        yield loss.item()


def _loss(model: nn.Module, inputs: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
        logits = model(inputs)
    return F.cross_entropy(logits.float(), labels, label_smoothing=recipe.smoothing)


@torch.no_grad()
def accuracy(model: nn.Module, samples: Samples) -> float:
    """Return the share of samples that a model answers rightly."""
    model.eval()
    batches = zip(*(torch.from_numpy(array).split(250) for array in samples), strict=True)
    return torch.cat([model(x).argmax(1) == y for x, y in batches]).float().mean().item()


def load_weights(model: nn.Module, weights: Path) -> nn.Module:
    """Return a model with the weights that its ``train.py`` wrote.

    Raises `ConfigError` if there are none, or those of another model.
    """
    again = f"run: python -m examples.{weights.parent.name}.train"
    if not weights.is_file():
        raise ConfigError(f"there is no {weights}; {again}")
    try:
        model.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{weights} cannot be used ({reason[:200]}); {again}") from None
    return model

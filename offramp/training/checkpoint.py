"""Checkpoints: all that a training needs to go on as if it had not been interrupted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Optimizer

from offramp.errors import ConfigError
from offramp.training.weights import Description, part_of, read_weights, write_weights

__all__ = ["Checkpoint", "Checkpoints", "Position", "optimiser_tensors", "restore_optimiser"]

Count = Annotated[int, Field(ge=0)]

_REMEDY = "remove it to start anew"


class Checkpoints:
    """The checkpoints beside the file that a training of several parts ends with, by part.

    Each stays until the end, for the part after it begins from there. The first part's name may be
    empty.
    """

    def __init__(self, out: Path, parts: Sequence[str]) -> None:
        names = (".".join(filter(None, (out.name, part, "checkpoint"))) for part in parts)
        self.of = dict(zip(parts, map(out.with_name, names), strict=True))

    @property
    def latest(self) -> Path | None:
        """The one from which the training would go on."""
        return next((path for path in reversed(self.of.values()) if path.exists()), None)

    def remove(self) -> None:
        """Remove all, where they are."""
        for path in self.of.values():
            path.unlink(missing_ok=True)


class Position(Description):
    """How far a training is: epochs done in the stage, and how its exits have done.

    ``best`` is the best mean held-out accuracy in the stage, reached ``waited`` epochs ago;
    ``accuracies`` are those of each exit and the model at the best. A bottleneck has the loss below
    zero in their place.
    """

    stage: Count = 0
    epoch: Count = 0
    best: float | None = None
    waited: Count = 0
    accuracies: tuple[float, ...] = ()

    def after(self, accuracies: tuple[float, ...] | None, epochs: int = 1) -> Position:
        """Return the position some epochs later, with what the held-out samples said then."""
        later = {"stage": self.stage, "epoch": self.epoch + epochs}
        if accuracies is None:
            return Position(**later)
        mean = sum(accuracies) / len(accuracies)
        if self.best is None or mean > self.best:
            return Position(**later, best=mean, accuracies=accuracies)
        return Position(**later, best=self.best, waited=self.waited + 1, accuracies=self.accuracies)


class _State(Description):
    format: Literal[1] = 1
    settings: dict[str, str]
    position: Position


@dataclass(frozen=True)
class Checkpoint:
    """The file of a training with these settings: what of it is done, whole or not there."""

    path: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def write(self, position: Position, tensors: Mapping[str, Tensor]) -> None:
        """Take the place of the checkpoint before; raise `ConfigError` if it cannot be written."""
        state = _State(settings=dict(self.settings), position=position)
        write_weights(self.path, state, tensors)

    def read(self) -> tuple[Position, dict[str, Tensor]] | None:
        """Return how far the training is and its tensors, or None if it has not begun.

        Raises `ConfigError` if the file is damaged or of a training with other settings.
        """
        if not self.path.exists():
            return None
        state, tensors = read_weights(self.path, _State, _REMEDY)
        for name in {**state.settings, **self.settings}:
            then, now = state.settings.get(name), self.settings.get(name)
            if then != now:
                raise ConfigError(
                    f"{self.path} is of a training with {name} {then}, not {now}; {_REMEDY}, or "
                    "give the same options to go on"
                )
        return state.position, tensors

    def remove(self) -> None:
        """Remove the file, if there is one."""
        self.path.unlink(missing_ok=True)


def optimiser_tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    """Return an optimiser's state as tensors by parameter and name."""
    return {
        f"{parameter}.{name}": value if isinstance(value, Tensor) else torch.tensor(value)
        for parameter, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
    }


def restore_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser of the same parameters the state that `optimiser_tensors` returned."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        parameter, name = key.split(".", 1)
        state.setdefault(int(parameter), {})[name] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def merge_tensors(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return tensors of several parts in one mapping, named ``part/name``."""
    return {f"{part}/{name}": t for part, tensors in parts.items() for name, t in tensors.items()}


def split_tensors(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return the tensors of one part."""
    return part_of(tensors, f"{part}/")

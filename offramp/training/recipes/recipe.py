"""The contract of training recipes: stages, each with what it trains and a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from offramp.errors import ConfigError

__all__ = ["Answers", "Recipe", "Stage", "share_epochs"]


@dataclass(frozen=True)
class Answers:
    """What a model said of one batch: logits (samples, classes) of its exits and its own.

    ``exits`` are from shallow to deep. ``labels``, int64 (samples,), are those of the data, or the
    model's own answers for a recipe that needs none. Of a slimmed model, ``boundary`` is what its
    device part returned, and ``original`` what the model said that it was. ``kinds`` tells which
    exits have heads of one kind, where that is known.
    """

    exits: tuple[Tensor, ...]
    final: Tensor
    labels: Tensor
    boundary: Tensor | None = None
    original: Answers | None = None
    kinds: tuple[str, ...] = ()

    @property
    def teacher(self) -> Tensor:
        """The model's own logits, through which nothing is trained."""
        return self.final.detach()


@dataclass(frozen=True)
class Stage:
    """A part of a training: ``share`` of the epochs, in which ``loss`` trains the exit heads.

    With ``backbone`` it trains the model too; otherwise that is frozen, its batch statistics
    included. A loss that is a module is trained with the heads and forgotten at the end.
    """

    name: str
    loss: Callable[[Answers], Tensor]
    backbone: bool = False
    share: float = 1.0


class Recipe(ABC):
    """A way to train exits."""

    name: str
    needs_labels: bool = True

    @abstractmethod
    def stages(self, costs: Sequence[float]) -> tuple[Stage, ...]:
        """Return the stages for a model with exits.

        ``costs`` says for each exit which share of the model's multiply-adds comes before it.
        """

    @property
    def trains_model(self) -> bool:
        """Whether a stage trains the model too."""
        return any(stage.backbone for stage in self.stages((0.0,)))


def share_epochs(stages: Sequence[Stage], epochs: int) -> tuple[int, ...]:
    """Divide epochs among stages by their shares, at least one each.

    Raises `ConfigError` if there are fewer epochs than stages.
    """
    if epochs < len(stages):
        raise ConfigError(f"{epochs} epochs are too few for a recipe of {len(stages)} stages")
    spare, shares = epochs - len(stages), sum(stage.share for stage in stages)
    ends, passed = [], 0.0
    for stage in stages:
        passed += stage.share
        ends.append(round(spare * passed / shares))
    return tuple(1 + end - start for start, end in zip([0, *ends], ends, strict=False))

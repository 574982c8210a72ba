"""A whole training: the recipe, and then the slimming if there is one; each has a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from offramp.extras import require_extra
from offramp.training.setup import TrainingSetup
from offramp.training.slimming.plan import Slimming, plan_slimming
from offramp.training.slimming.slim import slim
from offramp.training.stage import Report
from offramp.training.trainer import train

__all__ = ["Checkpoints", "plan", "train_and_slim"]


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints beside the file that a training ends with."""

    out: Path

    @property
    def recipe(self) -> Path:
        """That of the recipe, which stays until the slimming is done: it begins from there."""
        return self.out.with_name(f"{self.out.name}.checkpoint")

    @property
    def slimming(self) -> Path:
        """That of the slimming."""
        return self.out.with_name(f"{self.out.name}.slimming.checkpoint")

    @property
    def latest(self) -> Path | None:
        """The one from which the training would go on."""
        return next((path for path in (self.slimming, self.recipe) if path.exists()), None)

    def remove(self) -> None:
        """Remove both, where they are."""
        self.slimming.unlink(missing_ok=True)
        self.recipe.unlink(missing_ok=True)


def plan(setup: TrainingSetup, share: float | None, until: str | None) -> Slimming | None:
    """Return what is slimmed, if a share is asked for; raise what `plan_slimming` raises.

    That is known before hours of training.
    """
    if share is None:
        return None
    require_extra("compile", "torch_pruning")
    return plan_slimming(setup, share, until)


def train_and_slim(
    setup: TrainingSetup, slimming: Slimming | None, checkpoints: Checkpoints, report: Report
) -> tuple[TrainingSetup, tuple[float, ...]]:
    """Return what was trained, slimmed if it is to be, and its accuracies as `train` returns them.

    The recipe is carried out first, or known from its checkpoint. Raises what `train` raises.
    """
    accuracies = train(setup, checkpoints.recipe, report)
    if not slimming:
        return setup, accuracies
    slimmed = slim(setup, slimming, accuracies)
    return slimmed, train(slimmed, checkpoints.slimming, report)

"""A whole training: the recipe, and then the slimming if there is one; each has a checkpoint."""

from __future__ import annotations

from offramp.extras import require_extra
from offramp.training.checkpoint import Checkpoints
from offramp.training.setup import TrainingSetup
from offramp.training.slimming.plan import Slimming, plan_slimming
from offramp.training.slimming.slim import slim
from offramp.training.stage import Report
from offramp.training.trainer import train

__all__ = ["RECIPE", "SLIMMING", "plan", "train_and_slim"]

RECIPE, SLIMMING = "", "slimming"
"""The parts of a training, by which checkpoints are named."""


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
    accuracies = train(setup, checkpoints.of[RECIPE], report)
    if not slimming:
        return setup, accuracies
    slimmed = slim(setup, slimming, accuracies)
    return slimmed, train(slimmed, checkpoints.of[SLIMMING], report)

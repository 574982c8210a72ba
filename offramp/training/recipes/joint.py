"""Recipe `joint`: model and heads learn together (BranchyNet, arXiv 1709.01686)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from offramp.training.recipes.losses import label_losses, rising_weights
from offramp.training.recipes.recipe import Answers, Recipe, Stage

__all__ = ["Joint", "joint_loss"]


class Joint(Recipe):
    """Weighted sum of all cross-entropies, weights from 0.4 at the first exit to 1 at the end."""

    name = "joint"

    def stages(self, costs: Sequence[float]) -> tuple[Stage, ...]:
        """Return one stage."""
        return (Stage("joint", joint_loss, backbone=True),)


def joint_loss(answers: Answers) -> Tensor:
    """Return the weighted sum of the cross-entropies of all exits and the model."""
    losses = label_losses((*answers.exits, answers.final), answers.labels)
    weights = rising_weights(len(losses))
    return torch.stack([w * one for w, one in zip(weights, losses, strict=True)]).sum()

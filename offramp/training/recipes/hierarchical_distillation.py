"""Recipe `hierarchical_distillation`: every exit learns from the next deeper one.

After ModularStarEncoder ("One Model to Train them All", arXiv 2503.03008).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from offramp.training.recipes.joint import joint_loss
from offramp.training.recipes.losses import distillation
from offramp.training.recipes.recipe import Answers, Recipe, Stage

__all__ = ["HierarchicalDistillation"]


class HierarchicalDistillation(Recipe):
    """The loss of `joint`, and ``KL(exit l + 1 || exit l)`` for each exit, the model the last."""

    name = "hierarchical_distillation"

    def stages(self, costs: Sequence[float]) -> tuple[Stage, ...]:
        """Return one stage."""
        return (Stage("joint, deeper exits teach", _loss, backbone=True),)


def _loss(answers: Answers) -> Tensor:
    chain = (*answers.exits, answers.final)
    taught = [distillation(student, teacher) for student, teacher in pairwise(chain)]
    return joint_loss(answers) + torch.stack(taught).sum()

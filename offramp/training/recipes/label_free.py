"""Recipe `label_free`: the exits learn the frozen model's own answers, from inputs alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from offramp.training.recipes.losses import distillation
from offramp.training.recipes.recipe import Answers, Recipe, Stage

__all__ = ["LabelFree"]


class LabelFree(Recipe):
    """Sum of ``KL(model || exit)`` (Hinton et al., arXiv 1503.02531); labels are not looked at.

    Accuracy is then agreement with the model.
    """

    name = "label_free"
    needs_labels = False

    def stages(self, costs: Sequence[float]) -> tuple[Stage, ...]:
        """Return one stage."""
        return (Stage("distillation", _loss),)


def _loss(answers: Answers) -> Tensor:
    return torch.stack([distillation(one, answers.teacher) for one in answers.exits]).sum()

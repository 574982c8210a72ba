"""Recipe `frozen`: the heads learn from the labels, and the model stays as it is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from offramp.training.recipes.losses import label_losses
from offramp.training.recipes.recipe import Answers, Recipe, Stage

__all__ = ["Frozen"]


class Frozen(Recipe):
    """Sum of the exits' cross-entropies; each head learns as if it were alone."""

    name = "frozen"

    def stages(self, costs: Sequence[float]) -> tuple[Stage, ...]:
        """Return one stage."""
        return (Stage("heads", _loss),)


def _loss(answers: Answers) -> Tensor:
    return torch.stack(label_losses(answers.exits, answers.labels)).sum()

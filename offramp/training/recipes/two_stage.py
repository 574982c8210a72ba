"""Recipe `two_stage`: end to end, then self-distillation (LGViT, arXiv 2308.00255)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from offramp.training.recipes.joint import joint_loss
from offramp.training.recipes.losses import distillation, label_losses
from offramp.training.recipes.recipe import Answers, Recipe, Stage

__all__ = ["TwoStage"]


class TwoStage(Recipe):
    """Half of the epochs as `joint`; then, with the model frozen, it teaches its exits.

    In the second stage an exit's loss is ``CE + KL(model || exit)``, and ``KL(other || exit)`` if
    there is a deeper exit with a head of the same kind, the deepest of which is the other.
    """

    name = "two_stage"

    def stages(self, costs: Sequence[float]) -> tuple[Stage, ...]:
        """Return the two stages."""
        return (
            Stage("end to end", joint_loss, backbone=True),
            Stage("self-distillation", _taught_loss),
        )


def _taught_loss(answers: Answers) -> Tensor:
    taught = [distillation(logits, answers.teacher) for logits in answers.exits]
    of_kind = list(zip(answers.kinds, answers.exits, strict=False))
    deepest = dict(of_kind)
    taught += [
        distillation(logits, deepest[kind])
        for kind, logits in of_kind
        if logits is not deepest[kind]
    ]
    return torch.stack([*label_losses(answers.exits, answers.labels), *taught]).sum()

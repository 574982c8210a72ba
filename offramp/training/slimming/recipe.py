"""How a slimmed model is trained: it learns from what it was (COST-EFF, arXiv 2210.15523)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from offramp.training.recipes.losses import distillation, label_losses, rising_weights
from offramp.training.recipes.recipe import Answers, Recipe, Stage

__all__ = ["Slimmed"]


class Slimmed(Recipe):
    """Exits and slimmed layers learn together, from the labels and from the model as it was.

    The loss is ``sum_l w_l (CE_l + KL(original || l)) + |b - b'|^2 / |b'|^2``: ``l`` are the exits
    and the end, with the weights ``w_l`` of `joint`; ``original`` is the end of the model as it
    was; ``b`` and ``b'`` are what leaves the device part, slimmed and as it was. After a recipe
    that needs no labels there is no ``CE_l``. COST-EFF compares every layer with that layer of the
    original, and each exit with its exit; here all learn from its end, which is right more often.
    """

    def __init__(self, first: Recipe) -> None:
        self.name = f"{first.name}, slimmed"
        self.needs_labels = first.needs_labels

    def stages(self, costs: Sequence[float]) -> tuple[Stage, ...]:
        """Return one stage."""
        return (Stage("slimmed", self._loss, backbone=True),)

    def _loss(self, answers: Answers) -> Tensor:
        original = answers.original
        if original is None or original.boundary is None or answers.boundary is None:
            raise TypeError("only a model that is slimmed can be trained so")
        logits = (*answers.exits, answers.final)
        losses = torch.stack([distillation(one, original.final) for one in logits])
        if self.needs_labels:
            losses = losses + torch.stack(label_losses(logits, answers.labels))
        weights = losses.new_tensor(rising_weights(len(logits)))
        apart = F.mse_loss(answers.boundary, original.boundary)
        return (weights * losses).sum() + apart / original.boundary.square().mean().clamp(1e-12)

"""What the recipes' losses are made of."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor
from torch.nn import functional as F

__all__ = ["distillation", "label_losses", "rising_weights"]

_TEMPERATURE = 2.0


def label_losses(logits: Iterable[Tensor], labels: Tensor) -> list[Tensor]:
    """Return each exit's mean cross-entropy with the labels."""
    return [F.cross_entropy(one, labels) for one in logits]


def distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean divergence of a student's softened answers from a teacher's.

    ``T^2 KL(softmax(t / T) || softmax(s / T))`` with T = 2 (Hinton et al., arXiv 1503.02531); the
    teacher learns nothing from it.
    """
    theirs = (teacher.detach() / _TEMPERATURE).log_softmax(-1)
    ours = (student / _TEMPERATURE).log_softmax(-1)
    return _TEMPERATURE**2 * F.kl_div(ours, theirs, reduction="batchmean", log_target=True)


def rising_weights(count: int) -> list[float]:
    """Return weights from 0.4 to 1 in equal steps: what is deep shall not suffer for the rest."""
    return [1 - 0.6 * (count - 1 - at) / max(count - 1, 1) for at in range(count)]

"""Recipe `joint_gates`: heads learn most from the samples that would leave there.

After JEI-DNN (Jointly-Learned Exit and Inference, arXiv 2310.09163): training sees the routing that
inference uses. The gates serve the training alone; what decides at run time is an exit policy,
fitted on held-out samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from offramp.exits.policies.learned_gate import COST_WEIGHT
from offramp.training.recipes.frozen import Frozen
from offramp.training.recipes.recipe import Answers, Recipe, Stage

__all__ = ["JointGates"]


class JointGates(Recipe):
    """A quarter of the epochs as `frozen`, then heads and gates with the model frozen.

    Gate l is ``g_l = sigmoid(w . [max p, entropy, margin] + b)`` of exit l's answer, and a sample
    leaves there with ``P(l) = g_l prod_(j<l) (1 - g_j)``; the model takes the rest. Heads minimise
    the mean of ``sum_l P(l) CE_l``. A gate learns by cross-entropy, both sides weighted alike, to
    be open from ``argmin_l (CE_l + c cost_l)`` on, where ``cost_l`` is the share of multiply-adds
    and ``c`` that of policy `learned_gate`. Both learn on each batch, each with what the other says
    held fixed.
    """

    name = "joint_gates"

    def stages(self, costs: Sequence[float]) -> tuple[Stage, ...]:
        """Return the two stages."""
        (alone,) = Frozen().stages(costs)
        return (alone, Stage("heads and gates", _GatedLoss(costs), share=3.0))


class _GatedLoss(nn.Module):
    costs: Tensor

    def __init__(self, costs: Sequence[float]) -> None:
        super().__init__()
        self.gates = nn.ModuleList(nn.Linear(3, 1) for _ in costs)
        self.register_buffer("costs", torch.tensor([*costs, 1.0]))

    def forward(self, answers: Answers) -> Tensor:
        """Return the heads' loss and the gates'."""
        losses = torch.stack(
            [
                F.cross_entropy(logits, answers.labels, reduction="none")
                for logits in (*answers.exits, answers.final)
            ],
            1,
        )
        opens = torch.cat(
            [gate(_signs(one)) for gate, one in zip(self.gates, answers.exits, strict=True)], 1
        )
        leaves = leaving(opens.detach().sigmoid())
        best = (losses.detach() + COST_WEIGHT * self.costs).argmin(1, keepdim=True)
        wanted = (torch.arange(opens.shape[1], device=opens.device) >= best).to(opens.dtype)
        return (leaves * losses).sum(1).mean() + _balanced(opens, wanted)


def leaving(opens: Tensor) -> Tensor:
    """Return P(exit = l), (samples, exits + 1), from how far each gate is open."""
    stays = torch.cat([torch.ones_like(opens[:, :1]), (1 - opens).cumprod(1)], 1)
    return stays * torch.cat([opens, torch.ones_like(opens[:, :1])], 1)


def _signs(logits: Tensor) -> Tensor:
    """Return what a gate looks at: (samples, 3), nothing of which trains the head."""
    p = logits.detach().softmax(-1)
    top = p.topk(2).values
    entropy = torch.special.entr(p).sum(-1) / math.log(p.shape[-1])
    return torch.stack([top[:, 0], entropy, top[:, 0] - top[:, 1]], 1)


def _balanced(opens: Tensor, wanted: Tensor) -> Tensor:
    """Return the gates' cross-entropy, in which open and shut weigh alike for each gate."""
    share = wanted.mean(0).clamp(0.01, 0.99)
    weights = torch.where(wanted > 0, 0.5 / share, 0.5 / (1 - share))
    loss = F.binary_cross_entropy_with_logits(opens, wanted, weights, reduction="none")
    return loss.mean(0).sum()

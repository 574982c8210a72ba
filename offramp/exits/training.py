"""Training of exit heads on a frozen network's boundary tensors (recipe `frozen`)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from offramp.tensors import Array

__all__ = ["train_head"]


def train_head(
    head: nn.Module,
    features: Array,
    labels: Array,
    *,
    seed: int = 0,
    epochs: int = 8,
    report: Callable[[float], None] = lambda loss: None,
) -> nn.Module:
    """Fit a head to features (N, ...) and labels (N,) by cross-entropy and return it.

    Adam with a one-cycle rate; ``report`` gets the mean loss of each epoch.
    """
    order = torch.Generator().manual_seed(seed)
    inputs, targets = torch.from_numpy(features), torch.from_numpy(labels)
    batch = min(128, len(inputs))
    optimiser = torch.optim.Adam(head.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 5e-3, total_steps=epochs * (len(inputs) // batch)
    )
    head.train()
    for _ in range(epochs):
        losses = []
        for rows in torch.randperm(len(inputs), generator=order).split(batch):  # type: ignore[no-untyped-call]
            if len(rows) < batch:
                continue
            loss = F.cross_entropy(head(inputs[rows]), targets[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        report(sum(losses) / len(losses))
    return head.eval()

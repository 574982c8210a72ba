"""What each channel of a group matters to the loss: a first-order Taylor expansion."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from offramp.training.recipes.joint import joint_loss
from offramp.training.seeding import own_randomness, seed_all
from offramp.training.setup import TrainingSetup
from offramp.training.slimming.groups import Group

__all__ = ["choose_drops", "importances"]

_BATCHES, _BATCH = 32, 32


def importances(setup: TrainingSetup, groups: Sequence[Group]) -> list[Tensor]:
    """Return the importance of each group's channels, float64 (width,) each.

    Without a channel, its readers' weights for it are zero, which changes the loss L by
    ``-sum w dL/dw`` over them, to first order. The square of that is averaged over batches of at
    most 1024 samples (Molchanov et al., arXiv 1906.10771); COST-EFF takes the same expansion. L is
    the loss of the recipe `joint`: that of all exits and the end.
    """
    model = setup.model.eval()
    totals = [torch.zeros(group.width, dtype=torch.float64) for group in groups]
    with own_randomness():
        order = seed_all(setup.options.seed)
        rows = torch.randperm(len(setup.training), generator=order).tolist()
        for start in range(0, min(len(rows), _BATCHES * _BATCH), _BATCH):
            model.zero_grad()
            batch = setup.training.batch(rows[start : start + _BATCH])
            joint_loss(setup.answers(batch)).backward()  # type: ignore[no-untyped-call]
            for group, total in zip(groups, totals, strict=True):
                total += _change(setup, group).square()
    model.zero_grad()
    return totals


def choose_drops(group: Group, importance: Tensor, share: float) -> set[int]:
    """Return the channels that go: the least important blocks, ``1 - share`` of them."""
    blocks = importance.reshape(-1, group.block).sum(1)
    going = len(blocks) - kept_blocks(group, share)
    order = blocks.argsort(stable=True)[:going].tolist()
    return {at * group.block + one for at in order for one in range(group.block)}


def kept_blocks(group: Group, share: float) -> int:
    """Return how many blocks of a group's channels stay: one at least."""
    return max(1, round(group.width // group.block * share))


def _change(setup: TrainingSetup, group: Group) -> Tensor:
    """Return by how much the loss falls without each channel, to first order."""
    change = torch.zeros(group.width, dtype=torch.float64)
    for reader in group.readers:
        weight = setup.model.model.get_parameter(f"{reader.path}.weight")
        if weight.grad is None:  # what answers does not depend on it
            continue
        product = (weight.detach() * weight.grad).double().transpose(0, 1).flatten(1).sum(1)
        positions = torch.tensor(list(reader.channels))
        channels = torch.tensor(list(reader.channels.values()))
        change.index_add_(0, channels, product[positions])
    return change

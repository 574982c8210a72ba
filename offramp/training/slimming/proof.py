"""Whether channels can go: without them a model answers as if nothing read them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from copy import deepcopy
from itertools import chain

import torch
from torch import Tensor, nn

from offramp.training.samples import Batch
from offramp.training.slimming.device_part import catch_output
from offramp.training.slimming.groups import Drops, tensors_of, thin

__all__ = ["answers_alike", "shake"]

_TOLERANCE = 1e-4


def shake(model: nn.Module) -> nn.Module:
    """Return a copy with noise on all weights, so that none is zero and hides what it does."""
    shaken = deepcopy(model).eval()
    dice = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in shaken.parameters():
            if parameter.is_floating_point():
                parameter.add_(torch.randn(parameter.shape, generator=dice), alpha=0.05)
    return shaken


def answers_alike(model: nn.Module, batch: Batch, paths: Sequence[str], drops: Drops) -> bool:
    """Tell whether channels can be removed: only their readers notice, and all of these do.

    A copy without the channels must return the same as one whose readers give them no weight: at
    the sub-modules ``paths`` and at the end.
    """
    masked, thinner = deepcopy(model), deepcopy(model)
    with torch.no_grad():
        for (path, side), gone in drops.items():
            if side == "inputs":
                masked.get_parameter(f"{path}.weight")[:, sorted(gone)] = 0
    try:
        thin(thinner, drops)
        expected, found = (_observe(one, batch, paths) for one in (masked, thinner))
    except Exception:  # a model that needs its width fails in its own way
        return False
    return len(found) == len(expected) and all(map(_close, found, expected))


def _observe(model: nn.Module, batch: Batch, paths: Sequence[str]) -> list[Tensor]:
    with ExitStack() as watching, torch.no_grad():
        seen = [watching.enter_context(catch_output(model.get_submodule(p))) for p in paths]
        returned = model(*batch.positional, **batch.keyword)
    return [*chain.from_iterable(seen), *tensors_of(returned)]


def _close(found: Tensor, expected: Tensor) -> bool:
    if found.shape != expected.shape or not expected.isfinite().all():
        return False
    return bool((found - expected).abs().max() <= _TOLERANCE * expected.abs().max())

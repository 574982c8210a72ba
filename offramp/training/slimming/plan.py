"""What of a model can be made thinner inside without anyone behind it noticing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from offramp.capture.early_exit import check_submodule
from offramp.errors import ConfigError
from offramp.training.setup import TrainingSetup
from offramp.training.slimming.device_part import find_device_part
from offramp.training.slimming.groups import Drops, Group, find_groups, merge
from offramp.training.slimming.importance import choose_drops, kept_blocks
from offramp.training.slimming.proof import answers_alike, shake

__all__ = ["Slimming", "plan_slimming"]

_HEAD_COUNTS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "heads")


@dataclass(frozen=True)
class Slimming:
    """What is made thinner: ``groups`` of channels in the sub-modules up to ``until``.

    ``share`` of them stay. ``device_part`` are all sub-modules that run until then.
    """

    until: str
    share: float
    device_part: frozenset[str]
    groups: tuple[Group, ...]


def plan_slimming(setup: TrainingSetup, share: float, until: str | None = None) -> Slimming:
    """Find what can be made thinner up to a sub-module, by default the one of the deepest exit.

    That is each group of channels without which the rest of the model works on, so that what
    exits, the sub-module and the model return keeps its shape. Raises `CaptureError` if there is
    no such sub-module or the model cannot be followed, and `ConfigError` if the share is not
    between 0 and 1 or there is nothing to slim.
    """
    if not 0 < share < 1:
        raise ConfigError(f"a share of {share} cannot stay; name one between 0 and 1, such as 0.5")
    model = setup.model.model
    until = until or setup.model.paths[-1]
    check_submodule(model, until, "to slim up to")
    setup.survey.place(until)
    part = find_device_part(model, setup.few, until)
    learning = [group for group in find_groups(model, setup.few, part) if _learns(model, group)]
    groups = _provable(setup, (*setup.model.paths, until), learning, share)
    if not groups:
        raise ConfigError(
            f"nothing up to {until!r} can be slimmed to {share:g} of its width: no channels of "
            "layers that are trained stay inside it; train without --slim"
        )
    return Slimming(until, share, part, groups)


def _provable(
    setup: TrainingSetup, places: Sequence[str], groups: Sequence[Group], share: float
) -> tuple[Group, ...]:
    """Return the groups of which channels can go together, each in the shortest runs that work."""
    shaken = shake(setup.model.model)
    dice = torch.Generator().manual_seed(0)
    found: list[Group] = []
    gone: Drops = {}
    for group in groups:
        for blocked in _blocked(shaken, group, share):
            some = choose_drops(blocked, torch.rand(group.width, generator=dice), share)
            more = merge(gone, blocked.drops(some))
            if answers_alike(shaken, setup.few, places, more):
                found, gone = [*found, blocked], more
                break
    return tuple(found)


def _learns(model: nn.Module, group: Group) -> bool:
    """Tell whether the factory left what reads the channels free to be trained."""
    layers = [model.get_submodule(member.path) for member in group.readers]
    return all(weight.requires_grad for layer in layers for weight in layer.parameters())


def _blocked(model: nn.Module, group: Group, share: float) -> Iterator[Group]:
    """Yield the group in runs in which its channels might go: one by one, or by attention heads.

    How many heads there are is read from the modules around the layer, as most call it.
    """
    parts = group.root.split(".")
    around = [model.get_submodule(".".join(parts[:depth])) for depth in range(len(parts))]
    counts = [getattr(module, name, None) for module in reversed(around) for name in _HEAD_COUNTS]
    heads = {
        group.width // count: None
        for count in counts
        if isinstance(count, int) and 1 < count < group.width and not group.width % count
    }
    for block in (1, *heads):
        blocked = replace(group, block=block)
        if kept_blocks(blocked, share) * block < group.width:
            yield blocked

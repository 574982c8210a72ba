"""From a model with exits to one whose device part is thinner inside."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

from torch import nn

from offramp.training.setup import Lesson, TrainingSetup
from offramp.training.slimming.groups import Drops, merge, thin
from offramp.training.slimming.importance import choose_drops, importances
from offramp.training.slimming.layers import LayerWidth, widths_of
from offramp.training.slimming.plan import Slimming
from offramp.training.slimming.recipe import Slimmed

__all__ = ["measure_widths", "slim"]


def slim(
    setup: TrainingSetup, slimming: Slimming, accuracies: tuple[float, ...] = ()
) -> TrainingSetup:
    """Return the training of a copy that lacks the channels which matter least to the loss.

    Its exits and device part learn; what comes behind stays to the bit. The model of ``setup``,
    which is trained, with ``accuracies``, teaches it and is not to be changed any more.
    """
    scores = importances(setup, slimming.groups)
    drops: Drops = {}
    for group, score in zip(slimming.groups, scores, strict=True):
        drops = merge(drops, group.drops(choose_drops(group, score, slimming.share)))
    model = deepcopy(setup.model)
    thin(model.model, drops)
    still = frozenset(path for path, _ in model.model.named_modules()) - slimming.device_part
    for path in still:
        for parameter in model.model.get_submodule(path).parameters(recurse=False):
            parameter.requires_grad_(False)
    lesson = Lesson(setup.model.eval(), slimming.until, slimming.share, still, accuracies)
    return replace(setup, model=model, recipe=Slimmed(setup.recipe), lesson=lesson)


def measure_widths(slimmed: nn.Module, original: nn.Module) -> tuple[LayerWidth, ...]:
    """Return the widths of the layers of a slimmed model that are not those of the original."""
    before = {path: widths_of(module) for path, module in original.named_modules()}
    return tuple(
        LayerWidth(path=path, inputs=found[0], outputs=found[1])
        for path, module in slimmed.named_modules()
        if (found := widths_of(module)) and found != before[path]
    )

"""Linear probes: what a simple head at each place of a trained model would get right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from offramp.errors import ConfigError
from offramp.exits.heads import HEADS
from offramp.training import recipes
from offramp.training.attach import attach_exits
from offramp.training.options import TrainingOptions
from offramp.training.placement import Candidate
from offramp.training.recipes import Recipe
from offramp.training.samples import Batch, TrainingSamples
from offramp.training.setup import TrainingSetup
from offramp.training.survey import Place, Survey
from offramp.training.trainer import train

__all__ = ["probe", "probed_places"]

_ENOUGH, _MOST = 6, 16
_SAMPLES, _HELD_OUT, _EPOCHS = 4000, 1000, 4
_SHARE = 0.9  # of the multiply-adds: an exit behind that saves next to nothing


def probe(
    model: nn.Module,
    found: Survey,
    samples: tuple[TrainingSamples, TrainingSamples],
    recipe: Recipe,
    options: TrainingOptions,
) -> tuple[list[Candidate], Candidate]:
    """Return each place with the accuracy of a linear probe there, and the whole model's.

    A few thousand of the samples to train on and of the held-out ones are enough. Without labels
    the probes learn the model's own answers. Raises `ConfigError` if there is no place.
    """
    places = probed_places(found)
    if not places:
        raise ConfigError("no sub-module returns what an exit can read; name places with --exit")
    probes = attach_exits(model, found, {place.path: "linear" for place in places}, options.seed)
    training, held_out = (
        _Some(all_, count, options.seed)
        for all_, count in zip(samples, (_SAMPLES, _HELD_OUT), strict=True)
    )
    teaching = recipes.get("frozen" if recipe.needs_labels else "label_free")
    chosen = replace(options, epochs=_EPOCHS, patience=_EPOCHS)
    accuracies = train(TrainingSetup(probes, teaching, training, held_out, chosen))
    candidates = [
        Candidate(place.path, place.macs, accuracy)
        for place, accuracy in zip(places, accuracies, strict=False)
    ]
    return candidates, Candidate("", found.macs, accuracies[-1])


def probed_places(found: Survey) -> list[Place]:
    """Return 6 to 16 places to probe, if there are as many, in the order they are reached.

    Of places that cost the same the outermost stands for all, such as a block for its last layer.
    Sub-modules of sub-modules are looked at only until there are enough places: amid a block more
    than one tensor crosses.
    """
    linear = HEADS["linear"]
    by_macs: dict[int, Place] = {}
    for place in found.places:
        if linear.fits(place.tensor) and 0 < place.macs <= _SHARE * found.macs:
            known = by_macs.get(place.macs)
            if known is None or _depth(place) <= _depth(known):
                by_macs[place.macs] = place
    probed: list[Place] = []
    for depth in sorted({_depth(place) for place in by_macs.values()}):
        level = [place for _, place in sorted(by_macs.items()) if _depth(place) == depth]
        if len(probed) < _ENOUGH:
            room = min(_MOST - len(probed), len(level))
            probed += [level[at * len(level) // room] for at in range(room)]
    return sorted(probed, key=lambda place: place.macs)


class _Some(TrainingSamples):
    """A few of the samples, drawn by the seed."""

    def __init__(self, samples: TrainingSamples, count: int, seed: int) -> None:
        order = torch.Generator().manual_seed(seed)
        self._samples = samples
        self._rows = torch.randperm(len(samples), generator=order)[:count].tolist()

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, rows: Sequence[int]) -> Batch:
        """Return the samples of these rows."""
        return self._samples.batch([self._rows[row] for row in rows])


def _depth(place: Place) -> int:
    return place.path.count(".")

"""From the references and options of a command line to a training, and to what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from offramp.capture.draft import origin
from offramp.errors import CaptureError
from offramp.references import call_reference
from offramp.training import recipes
from offramp.training.attach import attach_exits
from offramp.training.options import TrainingOptions
from offramp.training.samples import read_samples
from offramp.training.seeding import own_randomness, seed_all
from offramp.training.setup import TrainingSetup
from offramp.training.survey import survey
from offramp.training.trained import Trained, TrainedExit

__all__ = ["assemble", "describe"]

_CHOSEN = ("epochs", "seed", "batch", "rate", "backbone_rate", "patience", "device")


def assemble(model: str, kinds: Mapping[str, str], options: Mapping[str, Any]) -> TrainingSetup:
    """Call the user's functions and put exits of these kinds on the model.

    The factory is called with randomness that the seed decides. Raises what `call_reference`,
    `read_samples` and `attach_exits` raise.
    """
    recipe = recipes.get(options["recipe"])
    chosen = TrainingOptions(**{name: options[name] for name in _CHOSEN})
    with own_randomness():
        seed_all(chosen.seed)
        module = call_reference(model)
    if not isinstance(module, nn.Module):
        raise CaptureError(f"the model is a {type(module).__name__}, not a torch.nn.Module")
    training = read_samples(call_reference(options["data"]), recipe.needs_labels)
    held_out = None
    if options["held_out"]:
        held_out = read_samples(call_reference(options["held_out"]), recipe.needs_labels)
    found = survey(module, training.batch(range(min(2, len(training)))), tuple(kinds))
    exits = attach_exits(module, found, kinds, chosen.seed)
    return TrainingSetup(exits, recipe, training, held_out, chosen)


def describe(
    model: str, setup: TrainingSetup, kinds: Mapping[str, str], accuracies: tuple[float, ...]
) -> Trained:
    """Return what the file of a training says of it; ``accuracies`` are as `train` returned."""
    places = [setup.survey.place(path) for path in setup.model.paths]
    *exits, whole = accuracies or (None,) * (len(places) + 1)
    return Trained(
        model=model,
        classes=setup.survey.classes,
        exits=tuple(
            TrainedExit(
                path=place.path, head=kinds[place.path], shape=place.tensor.shape, accuracy=accuracy
            )
            for place, accuracy in zip(places, exits, strict=True)
        ),
        accuracy=whole,
        recipe=setup.recipe.name,
        settings=setup.options.describe(),
        versions=origin()["versions"],
    )

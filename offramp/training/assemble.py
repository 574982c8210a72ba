"""From the references and options of a command line to a training, and to what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from offramp.capture.draft import origin
from offramp.capture.early_exit import EarlyExitModel
from offramp.exits.heads import default_kind
from offramp.references import call_reference
from offramp.samples import naming
from offramp.training import recipes
from offramp.training.attach import attach_exits, check_model, head_macs, own_exits
from offramp.training.choice import ExitChoice
from offramp.training.options import TrainingOptions
from offramp.training.placement import Candidate, choose_places
from offramp.training.probing import probe
from offramp.training.samples import TrainingSamples, read_samples
from offramp.training.seeding import own_randomness, seed_all
from offramp.training.setup import TrainingSetup
from offramp.training.slimming.slim import measure_widths
from offramp.training.survey import Survey, survey
from offramp.training.trained import SlimmedPart, Trained, TrainedExit

__all__ = ["Given", "assemble", "call_functions", "describe"]

_CHOSEN = ("epochs", "seed", "batch", "rate", "backbone_rate", "patience", "device")


Show = Callable[[Sequence[Candidate], Candidate, Collection[str]], None]


@dataclass(frozen=True)
class Given:
    """What the references and options of a command line stand for."""

    module: EarlyExitModel
    training: TrainingSamples
    held_out: TrainingSamples | None
    options: TrainingOptions
    references: Mapping[str, str]


def call_functions(model: str, options: Mapping[str, Any], labelled: bool) -> Given:
    """Call the user's functions, each with randomness of its own that the seed decides.

    ``labelled`` samples have labels. Raises what `call_reference`, `own_exits` and `read_samples`
    raise.
    """
    chosen = TrainingOptions(**{name: options[name] for name in _CHOSEN})
    module = own_exits(_call(model, chosen.seed))
    references = {"model": model, "data": options["data"]}
    with naming("--data"):
        training = read_samples(_call(options["data"], chosen.seed, 1), labelled)
    held_out = None
    if options["held_out"]:
        references["held-out"] = options["held_out"]
        with naming("--held-out"):
            held_out = read_samples(_call(options["held_out"], chosen.seed, 2), labelled)
    return Given(module, training, held_out, chosen, references)


def _call(reference: str, *numbers: int) -> Any:
    """Call a user's function; as the numbers differ, no two functions draw the same samples."""
    with own_randomness():
        seed_all(*numbers)
        return call_reference(reference)


def assemble(
    model: str, choice: ExitChoice, options: Mapping[str, Any], show: Show
) -> tuple[TrainingSetup, Mapping[str, str]]:
    """Call the user's functions and put the exits that are asked for on the model.

    Returns the training and the kinds of its heads. ``show`` is told of the places that were probed
    and which were chosen. Raises what `call_functions`, `attach_exits` and `choose_places` raise.
    """
    recipe = recipes.get(options["recipe"])
    given = call_functions(model, options, recipe.needs_labels)
    chosen, module, training = given.options, check_model(given.module), given.training
    found = survey(module, training.batch(range(min(2, len(training)))), tuple(choice.kinds))
    asked = choice.kinds
    if choice.count and given.held_out:
        probed, whole = probe(module, found, (training, given.held_out), recipe, chosen)
        candidates = [_with_head(one, found, choice.head) for one in probed]
        places = choose_places(candidates, whole, choice.count, 1 / found.classes)
        asked = {place.path: choice.head for place in places}
        show(candidates, whole, asked)
    kinds = {p: kind or default_kind(found.place(p).tensor) for p, kind in asked.items()}
    exits = attach_exits(module, found, kinds, chosen.seed)
    setup = TrainingSetup(
        exits, recipe, training, given.held_out, chosen, references=given.references
    )
    return setup, kinds


def _with_head(one: Candidate, found: Survey, kind: str | None) -> Candidate:
    tensor = found.place(one.path).tensor
    spent = head_macs(kind or default_kind(tensor), tensor, found.classes)
    return replace(one, macs=one.macs + spent)


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
        settings={**setup.options.describe(), **setup.slimming},
        versions=origin()["versions"],
        slimmed=_describe_slimmed(setup),
    )


def _describe_slimmed(setup: TrainingSetup) -> SlimmedPart | None:
    lesson = setup.lesson
    if not lesson:
        return None
    before = survey(lesson.original.model, setup.few)
    return SlimmedPart(
        until=lesson.until,
        share=lesson.share,
        widths=measure_widths(setup.model.model, lesson.original.model),
        macs=(before.place(lesson.until).macs, setup.survey.place(lesson.until).macs),
        accuracies=lesson.accuracies,
    )

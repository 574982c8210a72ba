"""What ``offramp train --bottleneck`` does: every pair that is asked for, and the file of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from offramp.capture.draft import origin
from offramp.capture.early_exit import EarlyExitModel
from offramp.training.assemble import call_functions
from offramp.training.bottleneck.training import BottleneckSetup, train_bottleneck
from offramp.training.checkpoint import Checkpoints
from offramp.training.options import Progress
from offramp.training.trained import Trained, TrainedBottleneck, load_trained

__all__ = ["assemble", "parts_of", "train_bottlenecks", "untrained"]


def assemble(
    model: str, options: Mapping[str, Any], report: Callable[[str], None]
) -> tuple[Trained, EarlyExitModel, list[BottleneckSetup]]:
    """Call the user's functions; return what is known of the model, it, and what is to be trained.

    Raises what `call_functions` and `load_trained` raise.
    """
    given = call_functions(model, options, labelled=False)
    known, whole = untrained(model), given.module
    if options["trained"]:
        known, whole = load_trained(options["trained"], given.module, report)
    setups = [
        BottleneckSetup(
            whole.model, path, given.training, given.held_out, given.options, given.references
        )
        for path in dict.fromkeys(options["bottlenecks"])
    ]
    return known, whole, setups


def parts_of(setups: Sequence[BottleneckSetup]) -> list[str]:
    """Return the parts of such a training, by which checkpoints are named."""
    return [f"bottleneck{at}" for at in range(len(setups))]


def train_bottlenecks(
    known: Trained,
    whole: EarlyExitModel,
    setups: Sequence[BottleneckSetup],
    checkpoints: Checkpoints,
    report: Callable[[Progress], None],
) -> tuple[Trained, EarlyExitModel]:
    """Return what is said of a model and it with the pairs; new ones take the place of old."""
    specs = {spec.path: spec for spec in known.bottlenecks}
    pairs = whole.pairs
    for setup in setups:
        setup.check()  # now, not after hours of training others
    for setup, part in zip(setups, parts_of(setups), strict=True):
        pair, levels = train_bottleneck(setup, checkpoints.of[part], report)
        pairs[setup.path] = pair
        specs[setup.path] = TrainedBottleneck(
            path=setup.path,
            shape=pair.shape,
            rectified=pair.rectified,
            levels=levels,
            settings=setup.chosen,
        )
    heads = dict(zip(whole.paths, whole.heads, strict=True))
    described = known.model_copy(update={"bottlenecks": tuple(specs.values())})
    return described, EarlyExitModel(whole.model, heads, pairs)


def untrained(model: str) -> Trained:
    """Return what is said of a model, by the name of its factory, that has no exits of ours."""
    return Trained(
        model=model,
        classes=0,
        exits=(),
        accuracy=None,
        recipe="frozen",
        settings={},
        versions=origin()["versions"],
    )

"""The file that a training ends with: exits and all weights, for ``offramp compile --trained``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import AfterValidator, Field
from torch import Tensor, nn

from offramp.bottlenecks import build_bottleneck
from offramp.capture.early_exit import EarlyExitModel, check_submodule
from offramp.errors import ConfigError
from offramp.exits.heads import build_head
from offramp.names import check_name
from offramp.tensors import TensorSpec
from offramp.training import recipes
from offramp.training.attach import check_model, own_exits
from offramp.training.slimming.layers import LayerWidth, apply_widths
from offramp.training.weights import Description, read_weights, write_weights

__all__ = [
    "SlimmedPart",
    "Trained",
    "TrainedBottleneck",
    "TrainedExit",
    "TrainedLevel",
    "load_trained",
    "write_trained",
]

Name = Annotated[str, AfterValidator(check_name)]
Share = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]


class TrainedExit(Description):
    """An exit: the sub-module that it reads, the shape of that, its head and how often it is right.

    ``accuracy`` is that of the held-out samples; None if there were none.
    """

    path: Name
    head: str
    shape: tuple[Side, ...]
    accuracy: Share | None


class SlimmedPart(Description):
    """What was made thinner: inner widths up to the sub-module ``until``, of which a share stays.

    ``widths`` are those that changed. ``macs`` are the multiply-adds of a sample until then, before
    and after; ``accuracies`` what the exits and, last, the model got right of the held-out samples
    before, if there were any.
    """

    until: Name
    share: Annotated[float, Field(gt=0, lt=1)]
    widths: tuple[LayerWidth, ...]
    macs: tuple[Count, Count]
    accuracies: tuple[Share, ...]


class TrainedLevel(Description):
    """A codec level of a bottleneck on held-out samples, by the density that it learnt.

    A sample takes so many ``bytes`` without its frame, and ``same_share`` of them are answered as
    the model answers.
    """

    level: Name
    bytes: Annotated[float, Field(ge=0)]
    same_share: Share


class TrainedBottleneck(Description):
    """A bottleneck behind a sub-module that returns features of a shape, and how it was trained.

    ``rectified`` features are never negative. There are no ``levels`` without held-out samples.
    """

    path: Name
    shape: tuple[Side, ...]
    rectified: bool
    levels: tuple[TrainedLevel, ...]
    settings: dict[str, str]


class Trained(Description):
    """What was trained, and how; ``accuracy`` is the model's own.

    ``classes`` are those of the exits, 0 where there are none.
    """

    format: Literal[1] = 1
    model: str
    classes: Annotated[int, Field(ge=0, le=1_000_000)]
    exits: tuple[TrainedExit, ...]
    accuracy: Share | None
    recipe: str
    settings: dict[str, str]
    versions: str
    slimmed: SlimmedPart | None = None
    bottlenecks: tuple[TrainedBottleneck, ...] = ()

    @property
    def summary(self) -> str:
        """One line of how it was trained, for a bundle's card."""
        parts = [f"recipe {self.recipe}; {_join(self.settings)}"] if self.exits else []
        parts += [f"bottleneck behind {b.path}; {_join(b.settings)}" for b in self.bottlenecks]
        return "; ".join((*parts, self.versions))


def write_trained(path: Path, trained: Trained, model: EarlyExitModel) -> None:
    """Write a file, whole or not at all; raise `ConfigError` if it cannot be written."""
    write_weights(path, trained, model.state_dict())


def load_trained(
    path: Path, model: nn.Module, report: Callable[[str], None] = lambda line: None
) -> tuple[Trained, EarlyExitModel]:
    """Return what a file says and ``model`` with its widths, exits and weights, in eval mode.

    A model may bring its own exits where the file has none. ``report`` is told if the model's own
    weights were others, as a warning if the training cannot have changed them. Raises `ConfigError`
    if the file is damaged or of another model, and `CaptureError` if the model lacks a sub-module.
    """
    trained, tensors = read_weights(path, Trained, "name another file, or train again")
    own = EarlyExitModel(check_model(model), {}) if trained.exits else own_exits(model)
    if trained.slimmed:
        apply_widths(own.model, trained.slimmed.widths)
    try:
        with torch.device("meta"):  # which takes no memory, however large a head is said to be
            _check_shapes(_attach(own, trained), tensors)
        found = _attach(own, trained)
        changes = _describe_changes(path, trained, own, tensors)
        found.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"{path}: its weights, of {trained.model}, do not fit this model ({reason})"
        ) from None
    if changes:
        report(changes)
    return trained, found.eval()


def _join(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _attach(own: EarlyExitModel, trained: Trained) -> EarlyExitModel:
    heads = dict(zip(own.paths, own.heads, strict=True))
    for spec in trained.exits:
        check_submodule(own.model, spec.path)
        tensor = TensorSpec(spec.path, "float32", spec.shape)
        heads[spec.path] = build_head(spec.head, tensor, trained.classes)
    pairs = own.pairs | {
        spec.path: build_bottleneck(TensorSpec(spec.path, "float32", spec.shape), spec.rectified)
        for spec in trained.bottlenecks
    }
    return EarlyExitModel(own.model, heads, pairs)


def _describe_changes(
    path: Path, trained: Trained, own: EarlyExitModel, tensors: Mapping[str, Tensor]
) -> str:
    """Return how many of the model's tensors are others in the file; nothing if none is."""
    state = own.state_dict()
    differ = sum(name in tensors and not tensors[name].equal(state[name]) for name in state)
    if not differ:
        return ""
    told = (
        f"the model's weights are those of {path}; {differ} of {len(state)} tensors differ from "
        "the factory's"
    )
    if trained.slimmed or recipes.get(trained.recipe).trains_model:
        return told
    return f"warning: {told}, though recipe {trained.recipe!r} leaves a model as it is"


def _check_shapes(model: EarlyExitModel, tensors: Mapping[str, Tensor]) -> None:
    """Raise `RuntimeError` unless each weight of heads and pairs is there in its shape."""
    pairs = model.bottlenecks.state_dict(prefix="bottlenecks.")
    for name, wanted in {**model.heads.state_dict(prefix="heads."), **pairs}.items():
        found = tuple(tensors[name].shape) if name in tensors else None
        if found != tuple(wanted.shape):
            raise RuntimeError(f"{name} has shape {found}, not {tuple(wanted.shape)}")

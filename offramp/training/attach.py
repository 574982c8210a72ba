"""Exit heads of chosen kinds on a model's sub-modules, without touching its code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from offramp.capture.early_exit import EarlyExitModel
from offramp.errors import CaptureError
from offramp.exits.heads import build_head
from offramp.tensors import TensorSpec
from offramp.training.samples import Batch
from offramp.training.survey import Survey, survey

__all__ = ["attach_exits", "check_model", "head_macs", "own_exits"]


def attach_exits(
    model: nn.Module, found: Survey, kinds: Mapping[str, str], seed: int
) -> EarlyExitModel:
    """Return the model with untrained heads, in the order in which it reaches them.

    ``kinds`` maps a sub-module's path to a kind of head. Raises `CaptureError` if a head cannot
    read what is there.
    """
    order = {place.path: at for at, place in enumerate(found.places)}
    places = [found.place(path) for path in kinds]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        heads = {
            place.path: build_head(kinds[place.path], place.tensor, found.classes)
            for place in sorted(places, key=lambda place: order[place.path])
        }
        return EarlyExitModel(model, heads)


def head_macs(kind: str, tensor: TensorSpec, classes: int) -> int:
    """Return the multiply-adds of a head of a kind for one sample; raise as `build_head` does."""
    with torch.random.fork_rng(devices=[]):
        head = build_head(kind, tensor, classes)
    return survey(head, Batch((torch.zeros(2, *tensor.shape),), {}, None)).macs


def check_model(model: Any) -> nn.Module:
    """Return a model that can be given exits; raise `CaptureError` if it is none or has its own."""
    own = own_exits(model)
    if own.paths or own.pairs:
        raise CaptureError("the model brings its own exits; name a factory of the model without")
    return own.model


def own_exits(model: Any) -> EarlyExitModel:
    """Return a model with the exits that it brings, if any; raise `CaptureError` if it is none."""
    if not isinstance(model, nn.Module):
        raise CaptureError(f"the model is a {type(model).__name__}, not a torch.nn.Module")
    return model if isinstance(model, EarlyExitModel) else EarlyExitModel(model, {})

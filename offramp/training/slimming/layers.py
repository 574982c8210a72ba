"""Layers whose widths can be reduced, and models whose layers have been."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import torch
from pydantic import AfterValidator, Field
from torch import Tensor, nn
from torch.nn.utils import parametrize

from offramp.errors import ConfigError
from offramp.names import check_name
from offramp.training.weights import Description

__all__ = ["LayerWidth", "Side", "apply_widths", "narrow", "widths_of"]

Name = Annotated[str, AfterValidator(check_name)]
Width = Annotated[int, Field(ge=1)]
Side = Literal["inputs", "outputs"]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_LAYERS = (nn.Linear, *_CONVOLUTIONS, *_NORMALISATIONS)


class LayerWidth(Description):
    """How many channels or features a layer of a slimmed model takes and returns."""

    path: Name
    inputs: Width
    outputs: Width


def widths_of(module: object) -> tuple[int, int] | None:
    """Return how many channels or features a layer takes and returns.

    None for what is no convolution, linear layer or batch normalisation of torch itself, and for
    convolutions in groups that are not depth-wise: those are never made thinner.
    """
    if type(module) not in _LAYERS or parametrize.is_parametrized(module):  # type: ignore[arg-type]
        return None
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if isinstance(module, _CONVOLUTIONS):
        plain = module.groups == 1 or _is_depthwise(module)
        return (module.in_channels, module.out_channels) if plain else None
    return (
        (module.num_features, module.num_features) if isinstance(module, _NORMALISATIONS) else None
    )


def narrow(module: nn.Module, side: Side, kept: Sequence[int]) -> None:
    """Keep these inputs or outputs of a layer, in this order, in place.

    What a depth-wise convolution or a batch normalisation returns it takes too.
    """
    rows = torch.tensor(kept, dtype=torch.int64)
    if side == "inputs":
        _select(module, "weight", rows, axis=1)
    else:
        for name in ("weight", "bias", "running_mean", "running_var"):
            _select(module, name, rows, axis=0)
    depthwise = _is_depthwise(module)
    for attribute in _ATTRIBUTES[side, depthwise]:
        if hasattr(module, attribute):
            setattr(module, attribute, len(kept))


def apply_widths(model: nn.Module, widths: Iterable[LayerWidth]) -> None:
    """Give a model's layers the widths of a slimmed one, in place; what they hold means nothing.

    Raises `ConfigError` unless each layer is there and at least as wide.
    """
    modules = dict(model.named_modules())
    for width in widths:
        module, wanted = modules.get(width.path), (width.inputs, width.outputs)
        found = widths_of(module)
        if module is not None and found and width.inputs <= found[0] and width.outputs <= found[1]:
            narrow(module, "outputs", range(width.outputs))
            if type(module) not in _NORMALISATIONS and not _is_depthwise(module):
                narrow(module, "inputs", range(width.inputs))
        if widths_of(module) != wanted:
            raise ConfigError(
                f"the slimmed layer {width.path!r} takes {width.inputs} and returns "
                f"{width.outputs}, which none of this model can be reduced to; name the factory "
                "that was trained"
            )


_ATTRIBUTES: dict[tuple[Side, bool], tuple[str, ...]] = {
    ("inputs", False): ("in_channels", "in_features"),
    ("outputs", False): ("out_channels", "out_features", "num_features"),
    ("outputs", True): ("in_channels", "out_channels", "groups"),
}


def _is_depthwise(module: nn.Module) -> bool:
    if not isinstance(module, _CONVOLUTIONS) or module.groups == 1:
        return False
    return module.groups == module.in_channels == module.out_channels


def _select(module: nn.Module, name: str, rows: Tensor, axis: int) -> None:
    tensor = getattr(module, name, None)
    if not isinstance(tensor, Tensor):
        return
    chosen = tensor.detach().index_select(axis, rows.to(tensor.device))
    if isinstance(tensor, nn.Parameter):
        setattr(module, name, nn.Parameter(chosen, requires_grad=tensor.requires_grad))
    else:
        setattr(module, name, chosen)

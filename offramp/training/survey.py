"""What a model does with one batch: which sub-modules an exit can read, and what each costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils.flop_counter import FlopCounterMode

from offramp.capture.early_exit import check_submodule
from offramp.capture.outputs import as_plain
from offramp.errors import CaptureError, ConfigError
from offramp.tensors import TensorSpec
from offramp.training.samples import Batch

__all__ = ["Place", "Survey", "logits_of", "survey"]


@dataclass(frozen=True)
class Place:
    """The output of a sub-module, and the multiply-adds of one sample until it is there."""

    tensor: TensorSpec
    macs: int

    @property
    def path(self) -> str:
        """The sub-module's path."""
        return self.tensor.name


@dataclass(frozen=True)
class Survey:
    """Places for exits in the order in which the model reaches them, its classes and its work."""

    places: tuple[Place, ...]
    classes: int
    macs: int

    def place(self, path: str) -> Place:
        """Return the place of a sub-module; raise `CaptureError` if no exit can read it."""
        for place in self.places:
            if place.path == path:
                return place
        raise CaptureError(
            f"an exit cannot read sub-module {path!r}: it does not run exactly once, or does not "
            "return one tensor with a row for each sample; put the exit after another"
        )


def survey(model: nn.Module, batch: Batch, paths: tuple[str, ...] = ()) -> Survey:
    """Run a model on one batch and look at its sub-modules.

    Raises `CaptureError` if one of ``paths`` is none of them, the model fails, or it returns no
    row of scores.
    """
    for path in paths:
        check_submodule(model, path)
    count = len(next(iter((*batch.positional, *batch.keyword.values()))))
    runs: Counter[str] = Counter()
    seen: list[Place] = []
    with FlopCounterMode(display=False) as counter:

        def look(path: str, output: Any) -> None:
            runs[path] += 1
            tensor = _spec(path, output, count)
            if tensor is not None:
                seen.append(Place(tensor, counter.get_total_flops() // 2 // count))

        with _watching(model, look), _evaluating(model), torch.no_grad():
            try:
                returned = model(*batch.positional, **batch.keyword)
            except Exception as error:  # whatever the user's model raises
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                raise CaptureError(f"{type(model).__name__} fails on the samples: {reason}") from (
                    error
                )
        macs = counter.get_total_flops() // 2 // count
    places = tuple(place for place in seen if runs[place.path] == 1)
    return Survey(places, logits_of(returned).shape[1], macs)


def logits_of(returned: Any) -> Tensor:
    """Return the scores (samples, classes) among what a model returned.

    That is what is called ``logits``, else the first tensor of two dimensions of floats. Raises
    `CaptureError` if there is none.
    """
    if isinstance(returned, Tensor) and returned.ndim == 2 and returned.is_floating_point():
        return returned
    leaves = pytree.tree_flatten_with_path(as_plain(returned))[0]
    rows = {
        pytree.keystr(path): leaf
        for path, leaf in leaves
        if isinstance(leaf, Tensor) and leaf.ndim == 2 and leaf.is_floating_point()
    }
    if not rows:
        raise CaptureError(
            "the model returns no row of scores, one a class, for each sample; only classifiers "
            "can be given exits"
        )
    return rows.get("['logits']", next(iter(rows.values())))


@contextmanager
def _watching(model: nn.Module, look: Any) -> Iterator[None]:
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, path=path: look(path, output))
        for path, module in model.named_modules()
        if path
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _spec(path: str, output: Any, count: int) -> TensorSpec | None:
    if not isinstance(output, Tensor) or not output.ndim or len(output) != count:
        return None
    try:
        return TensorSpec(path, str(output.dtype).removeprefix("torch."), tuple(output.shape[1:]))
    except ConfigError:  # a dtype or size that cannot cross
        return None

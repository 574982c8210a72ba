"""A model cut after one sub-module, as it is for the compiler: a head, and a tail in parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from offramp.capture.cutting import CutModel, cut_graph
from offramp.capture.early_exit import check_submodule
from offramp.capture.export import export
from offramp.capture.graph import read_program
from offramp.errors import TrainingError
from offramp.tensors import TensorSpec
from offramp.training.samples import Batch

__all__ = ["CutAfter", "cut_after"]

_SEGMENTS = 8

Values = dict[str, Tensor]


@dataclass(frozen=True)
class CutAfter:
    """A frozen model whose output of a sub-module, ``tensor``, crosses boundary ``at``.

    Where it is cut further on hangs on no clock: what crosses there is part of what is learnt.
    """

    cut: CutModel
    at: int
    tensor: TensorSpec

    def to(self, device: str) -> None:
        """Move the model's weights to a device."""
        for segment in self.cut.segments:
            segment.module.to(device)
            for node in segment.module.graph.nodes:  # such as those that make zeros
                if "device" in node.kwargs:
                    node.kwargs = {**node.kwargs, "device": torch.device(device)}
            segment.module.recompile()

    def reach(self, batch: Batch) -> Values:
        """Return what crosses the cut for a batch, by name."""
        given = (*batch.positional, *batch.keyword.values())
        values = dict(zip(_names(self.cut.boundaries[0]), given, strict=True))
        with torch.no_grad():
            for segment in range(self.at):
                self._step(values, segment)
        return {name: values[name] for name in _names(self.cut.boundaries[self.at])}

    def follow(self, values: Values) -> tuple[list[Tensor], Tensor]:
        """Return the floats that cross every later cut, and the model's answer."""
        values, maps = dict(values), []
        for segment in range(self.at, len(self.cut.segments)):
            maps += [made for made in self._step(values, segment) if made.is_floating_point()]
        answer = values[self.cut.boundaries[-1][0].name]
        return [made for made in maps if made is not answer], answer

    def _step(self, values: Values, at: int) -> list[Tensor]:
        segment = self.cut.segments[at]
        given = [values[name] for name in _names(segment.reads)]
        try:
            made: tuple[Tensor, ...] = segment.module(*given)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever the user's model raises
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise TrainingError(f"the model fails on a batch of samples: {reason}") from error
        values.update(zip(_names(segment.makes), made, strict=True))
        return list(made)


def cut_after(model: nn.Module, batch: Batch, path: str) -> CutAfter:
    """Cut a model, traced on a batch, after the sub-module at ``path``.

    Raises `CaptureError` if there is no such sub-module or the model cannot be captured or cut.
    """
    check_submodule(model, path, "to put a bottleneck behind")
    graph = read_program(export(model.eval(), batch.positional, batch.keyword))
    cut = cut_graph(graph, None, (path,), _SEGMENTS)
    at, name = cut.places[path]
    tensor = next(spec for spec in cut.boundaries[at] if spec.name == name)
    return CutAfter(cut, at, tensor)


def _names(specs: Sequence[TensorSpec]) -> list[str]:
    return [spec.name for spec in specs]

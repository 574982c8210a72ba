"""Capture: a model and example inputs become one functional graph with a free batch dimension."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from offramp.errors import CaptureError

__all__ = ["capture", "two_of"]


def capture(model: nn.Module, examples: Sequence[Tensor]) -> ExportedProgram:
    """Trace ``model`` with `torch.export` and make its graph functional (no in-place operations).

    ``examples`` are the positional inputs, each with a leading batch dimension that stays free.
    Raises `CaptureError` that carries the exporter's reason.
    """
    batch = {len(example) if example.dim() else 0 for example in examples}
    if len(batch) != 1 or batch == {0}:
        raise CaptureError("the example inputs must share one leading batch dimension, at least 1")
    inputs = tuple(two_of(example) for example in examples)
    shapes = tuple({0: Dim.DYNAMIC} for _ in inputs)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(model.eval(), inputs, dynamic_shapes=shapes)
            functional: ExportedProgram = program.run_decompositions({})
            return functional
    except Exception as error:  # the exporter raises many kinds; its text is what helps
        reason = " ".join(str(error).split())
        reason = reason if len(reason) < 600 else reason[:600] + " ..."
        raise CaptureError(f"{type(model).__name__} cannot be captured: {reason}") from error


def two_of(example: Tensor) -> Tensor:
    """A batch of two: the exporter would take a batch of one for a constant."""
    return torch.cat([example[:1], example[:1]])

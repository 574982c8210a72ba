"""Export: a model and example inputs become one functional graph with a free batch dimension."""

from __future__ import annotations

import inspect
import io
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, ShapesCollection

from offramp.capture.known_operations import operations_known
from offramp.capture.outputs import returning_plain
from offramp.errors import CaptureError

__all__ = ["export", "two_of"]

_TORCH = os.path.dirname(torch.__file__) + os.sep
_SHAPES_LOG = "torch.fx.experimental.symbolic_shapes"


def export(
    model: nn.Module, positional: Sequence[Tensor], keyword: Mapping[str, Tensor] | None = None
) -> ExportedProgram:
    """Trace ``model`` with `torch.export` and make its graph functional (no in-place operations).

    The examples each have a leading batch dimension, which stays free. Raises `CaptureError` that
    names the line of the model's code at which tracing ended, and why.
    """
    named = dict(keyword or {})
    examples = [*positional, *named.values()]
    batch = {len(example) if example.dim() else 0 for example in examples}
    if len(batch) != 1 or batch == {0}:
        raise CaptureError("the example inputs must share one leading batch dimension, at least 1")
    inputs = tuple(two_of(example) for example in positional)
    named = {name: two_of(example) for name, example in named.items()}
    free = ShapesCollection()  # type: ignore[no-untyped-call]
    for example in (*inputs, *named.values()):
        free[example] = {0: Dim.DYNAMIC}
    _check_signature(model, inputs, named)
    with _watch_batch() as fixed_at, returning_plain(model), operations_known():
        try:
            shapes = free.dynamic_shapes(model, inputs, named)  # type: ignore[no-untyped-call]
            program = torch.export.export(model, inputs, named, dynamic_shapes=shapes)
            functional: ExportedProgram = program.run_decompositions({})
            return functional
        except Exception as error:  # the exporter raises many kinds; where and why is what helps
            reason = (
                f"its code works for one batch size only{_at(fixed_at[0])}; leave the batch free"
                if fixed_at and "specialized it" in str(error)
                else _explain(error)
            )
            raise CaptureError(f"{type(model).__name__} cannot be captured: {reason}") from error


def _check_signature(
    model: nn.Module, positional: Sequence[Tensor], keyword: Mapping[str, Tensor]
) -> None:
    takes = inspect.signature(model.forward)
    try:
        takes.bind(*positional, **keyword)
    except TypeError as error:
        given = ", ".join([f"{len(positional)} by place", *keyword])
        raise CaptureError(
            f"forward takes ({', '.join(takes.parameters)}), and the inputs are {given}: {error}"
        ) from None


def two_of(example: Tensor) -> Tensor:
    """A batch of two: the exporter would take a batch of one for a constant."""
    return torch.cat([example[:1], example[:1]])


def _explain(error: Exception) -> str:
    """Say in a sentence what stopped the exporter, and at which line of the model."""
    frames = traceback.extract_tb(error.__traceback__)
    line = next((frame for frame in reversed(frames) if _is_users(frame.filename)), None)
    if "data-dependent" in str(error):
        return (
            f"what it does depends on the values of its input{_at(line)}; a graph has one course "
            "for all inputs: use torch.where, or move the decision out of forward"
        )
    reason = " ".join(str(error).split("\n\n")[0].split()) or type(error).__name__
    return f"{reason[:300]}{_at(line)}"


@contextmanager
def _watch_batch() -> Iterator[list[traceback.FrameSummary]]:
    """Keep the exporter quiet, and note the lines of the model at which it fixed the batch size.

    The exporter says so in its log while the model's code is on the stack, and nowhere else.
    """
    fixed_at: list[traceback.FrameSummary] = []

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "set_replacement" in record.getMessage():
                stack = traceback.extract_stack(sys._getframe())
                fixed_at.extend([f for f in reversed(stack) if _is_users(f.filename)][:1])

    log, watch = logging.getLogger(_SHAPES_LOG), Watch()
    before = log.level, log.propagate, log.handlers
    log.setLevel(logging.INFO)
    log.propagate, log.handlers = False, [watch]
    export_log = logging.getLogger("torch.export")
    export_level = export_log.level
    export_log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            yield fixed_at
    finally:
        log.setLevel(before[0])
        log.propagate, log.handlers = before[1:]
        export_log.setLevel(export_level)


def _is_users(file: str) -> bool:
    """Tell whether a frame is of the model's code: not torch's, this file's or the logging's."""
    ours = file.startswith((_TORCH, os.path.dirname(logging.__file__), "<")) or file == __file__
    return not ours


def _at(frame: traceback.FrameSummary | None) -> str:
    if frame is None:
        return ""
    code = f" ({frame.line})" if frame.line else ""
    return f" at {frame.filename}:{frame.lineno}{code}"

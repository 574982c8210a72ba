"""Samples: inputs, and labels where they are known, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from offramp.errors import InputError
from offramp.tensors import DTYPES, Array, TensorSpec

__all__ = ["LabelledSamples", "as_labelled", "check_inputs"]


@dataclass(frozen=True)
class LabelledSamples:
    """N samples: one array (N, ...) for each input tensor, and int64 labels (N,)."""

    inputs: tuple[Array, ...]
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice) -> LabelledSamples:
        return LabelledSamples(tuple(array[rows] for array in self.inputs), self.labels[rows])


def as_labelled(value: Any) -> LabelledSamples:
    """Read what a user's data function returned: (inputs, labels), inputs an array or several.

    Raises `InputError` that says what is wrong with it.
    """
    try:
        inputs, labels = value
    except (TypeError, ValueError):
        raise InputError("a data function returns a pair (inputs, labels)") from None
    arrays = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    try:
        arrays = tuple(np.asarray(array) for array in arrays)
        labels = np.asarray(labels)
    except ValueError as error:
        raise InputError(f"inputs and labels must be arrays ({error})") from None
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
        raise InputError(
            f"labels must be integers of shape (samples,), not {labels.dtype} of {labels.shape}"
        )
    if not arrays:
        raise InputError("there are no inputs; return an array or several beside the labels")
    for array in arrays:
        if array.shape[:1] != labels.shape:
            count = len(array) if array.ndim else "no"
            raise InputError(f"there are {len(labels)} labels but {count} inputs")
        if array.dtype not in DTYPES:
            raise InputError(
                f"inputs are {array.dtype}; convert them to one of {', '.join(DTYPES)}"
            )
    if labels.min() < 0:
        raise InputError(f"labels start at 0; {labels.min()} was given")
    return LabelledSamples(arrays, labels.astype(np.int64))


def check_inputs(inputs: Sequence[Array], specs: Sequence[TensorSpec]) -> None:
    """Raise `InputError` unless batched inputs are what the model takes."""
    if len(inputs) != len(specs):
        raise InputError(f"the model takes {len(specs)} input tensors, not {len(inputs)}")
    for array, spec in zip(inputs, specs, strict=True):
        if array.ndim == 0 or len(array) == 0:
            raise InputError(f"tensor {spec.name!r}: there are no samples")
        spec.check(array[0])

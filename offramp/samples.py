"""Samples: a model's inputs, and labels where they are known, as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from offramp.errors import InputError
from offramp.tensors import DTYPES, Array, TensorSpec

__all__ = ["LabelledSamples", "Samples", "as_labelled", "as_samples", "check_inputs", "naming"]


@dataclass(frozen=True)
class Samples:
    """N samples: one array (N, ...) for each input tensor.

    The last ``len(keywords)`` arrays are given to the model by these names, the others by place.
    """

    inputs: tuple[Array, ...]
    keywords: tuple[str, ...] = field(default=(), kw_only=True)

    def __len__(self) -> int:
        return len(self.inputs[0])

    def __getitem__(self, rows: slice | list[int]) -> Self:
        return replace(self, inputs=tuple(array[rows] for array in self.inputs))

    @property
    def positional(self) -> tuple[Array, ...]:
        """The arrays that the model takes by place."""
        return self.inputs[: len(self.inputs) - len(self.keywords)]

    @property
    def keyword(self) -> dict[str, Array]:
        """The arrays that the model takes by name."""
        return dict(zip(self.keywords, self.inputs[len(self.positional) :], strict=True))


@dataclass(frozen=True)
class LabelledSamples(Samples):
    """Samples with int64 labels (N,)."""

    labels: Array

    def __getitem__(self, rows: slice | list[int]) -> Self:
        return replace(super().__getitem__(rows), labels=self.labels[rows])


def as_samples(value: Any) -> Samples:
    """Read inputs as a user's function gives them.

    That is an array, a tuple of arrays, a mapping of names to arrays, or a tuple whose last item is
    such a mapping: by place, then by name, as the model's ``forward`` takes them. Raises
    `InputError` that says what is wrong with it.
    """
    places, names = (list(value) if isinstance(value, tuple | list) else [value]), {}
    if places and isinstance(places[-1], Mapping):
        names = places.pop()
    if not places and not names:
        raise InputError("there are no inputs; return an array or several")
    arrays = [*(_as_array(item, f"input {at}") for at, item in enumerate(places)),
              *(_as_array(item, f"input {name!r}") for name, item in names.items())]  # fmt: skip
    if len({len(array) for array in arrays}) != 1:
        counts = ", ".join(str(len(array)) for array in arrays)
        raise InputError(f"the inputs have different numbers of samples: {counts}")
    if not len(arrays[0]):
        raise InputError("there are 0 samples; return one at least")
    return Samples(tuple(arrays), keywords=tuple(map(str, names)))


def as_labelled(value: Any) -> LabelledSamples:
    """Read what a user's data function returned: (inputs, labels), inputs as for `as_samples`.

    Raises `InputError` that says what is wrong with it.
    """
    try:
        inputs, labels = value
    except (TypeError, ValueError):
        raise InputError("a data function returns a pair (inputs, labels)") from None
    samples = as_samples(inputs)
    try:
        labels = np.asarray(labels)
    except ValueError as error:
        raise InputError(f"labels must be an array ({error})") from None
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise InputError(
            f"labels must be integers of shape (samples,), not {labels.dtype} of {labels.shape}"
        )
    if len(samples) != len(labels):
        raise InputError(f"there are {len(labels)} labels but {len(samples)} inputs")
    if labels.min() < 0:
        raise InputError(f"labels start at 0; {labels.min()} was given")
    return LabelledSamples(samples.inputs, labels.astype(np.int64), keywords=samples.keywords)


@contextmanager
def naming(option: str) -> Iterator[None]:
    """Begin what an `InputError` says with the option that gave the samples."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{option}: {error}") from None


def check_inputs(inputs: Sequence[Array], specs: Sequence[TensorSpec]) -> None:
    """Raise `InputError` unless batched inputs are what the model takes."""
    if len(inputs) != len(specs):
        raise InputError(f"the model takes {len(specs)} input tensors, not {len(inputs)}")
    for array, spec in zip(inputs, specs, strict=True):
        if array.ndim == 0 or len(array) == 0:
            raise InputError(f"tensor {spec.name!r}: there are no samples")
        spec.check(array[0])


def _as_array(value: Any, name: str) -> Array:
    try:
        array = np.asarray(value)
    except (RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{name} must be an array ({error})") from None
    if array.dtype not in DTYPES:
        raise InputError(f"{name} is {array.dtype}; convert it to one of {', '.join(DTYPES)}")
    if array.ndim == 0:
        raise InputError(f"{name} is a number; inputs have the samples as their first dimension")
    return array

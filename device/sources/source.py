"""The contract of a source: where samples come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from offramp.errors import InputError
from offramp.tensors import Array, TensorSpec

__all__ = ["Sample", "Source"]


@dataclass(frozen=True)
class Sample:
    """One input, an array without batch dimension for each input tensor; its label if known."""

    inputs: tuple[Array, ...]
    label: int | None = None
    name: str = ""

    def check(self, tensors: Sequence[TensorSpec]) -> None:
        """Raise `InputError` unless a model whose input is ``tensors`` can take this."""
        if len(self.inputs) != len(tensors):
            raise InputError(
                f"there are {len(self.inputs)} arrays for {len(tensors)} input tensors"
            )
        for array, tensor in zip(self.inputs, tensors, strict=True):
            tensor.check(array)
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise InputError(f"tensor {tensor.name!r} holds NaN or infinity; send numbers")


class Source(Protocol):
    """Samples in order. ``count`` is how many there are, or None if that is not known.

    A source checks what it can when it is made and raises `ConfigError` or `InputError` then.
    """

    count: int | None

    def __iter__(self) -> Iterator[Sample]: ...

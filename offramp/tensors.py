"""Tensors that cross a boundary: their names, dtypes and shapes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError, InputError

__all__ = ["DTYPES", "Array", "TensorSpec"]

Array = NDArray[Any]

DTYPES = ("float32", "float16", "uint8", "int8", "int16", "int32", "int64", "bool")
"""The dtypes that may cross a boundary; a dtype's code on the wire is its place in this tuple."""

MAX_DIMENSIONS = 8
MAX_ELEMENTS = 1 << 28


@dataclass(frozen=True)
class TensorSpec:
    """A boundary tensor's name, dtype and shape for one sample, without the batch dimension."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ConfigError(
                f"tensor {self.name!r} has dtype {self.dtype!r}; choose one of {', '.join(DTYPES)}"
            )
        if len(self.shape) > MAX_DIMENSIONS or any(side < 1 for side in self.shape):
            raise ConfigError(
                f"tensor {self.name!r} has shape {self.shape}; sides must be positive"
            )
        if self.elements > MAX_ELEMENTS:
            raise ConfigError(f"tensor {self.name!r} has {self.elements} elements; too many")

    @property
    def elements(self) -> int:
        """The number of elements of one sample."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The size of one uncompressed sample in bytes."""
        return self.elements * np.dtype(self.dtype).itemsize

    def check(self, sample: Array) -> None:
        """Raise `InputError` unless ``sample`` has this dtype and shape."""
        if sample.dtype != self.dtype or sample.shape != self.shape:
            raise InputError(
                f"tensor {self.name!r} must be {self.dtype} of shape {self.shape}, "
                f"not {sample.dtype} of shape {sample.shape}"
            )

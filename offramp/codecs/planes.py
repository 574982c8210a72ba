"""A tensor seen as planes: one for each channel, of rows and columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from offramp.errors import ConfigError
from offramp.tensors import MAX_DIMENSIONS, Array

__all__ = ["Planes", "best_axis"]


@dataclass(frozen=True)
class Planes:
    """How a tensor of ``shape``, one side at least, is seen as (C, H, W): channels lie at ``axis``.

    What is left of the shape are rows and columns: the last side is a row's length, all before it
    are rows. A tensor of channels alone has one place for each.
    """

    shape: tuple[int, ...]
    axis: int

    @classmethod
    def of(cls, parameters: Mapping[str, float | Array]) -> Self:
        """Return the planes of stored parameters; raise `ConfigError` if they are of none."""
        shape, axis = (np.asarray(parameters.get(name, ())) for name in ("shape", "axis"))
        sound = shape.dtype == np.int64 and shape.ndim == 1 and shape.size <= MAX_DIMENSIONS
        sides = tuple(shape.tolist()) if sound else ()
        if axis.ndim or not sides or min(sides) < 1 or axis not in range(len(sides)):
            raise ConfigError(f"axis {axis} and shape {shape} are those of no tensor")
        return cls(sides, int(axis))

    def parameters(self) -> dict[str, float | Array]:
        """Return the shape and the axis, to be stored."""
        return {"axis": float(self.axis), "shape": np.array(self.shape, np.int64)}

    @cached_property
    def sides(self) -> tuple[int, int, int]:
        """C, H and W."""
        rest = self.shape[: self.axis] + self.shape[self.axis + 1 :]
        width = rest[-1] if rest else 1
        return self.shape[self.axis], math.prod(rest[:-1]), width

    def view(self, samples: Array) -> Array:
        """Return samples (..., *shape) as read-only float32 (..., C, H, W), contiguous."""
        ahead = samples.ndim - len(self.shape)
        moved = np.moveaxis(samples, ahead + self.axis, ahead) if self.axis else samples
        planes = np.ascontiguousarray(moved, np.float32).reshape(
            *samples.shape[:ahead], *self.sides
        )
        planes.flags.writeable = False
        return planes

    def restore(self, planes: Array) -> Array:
        """Return planes (..., C, H, W) as a new tensor (..., *shape)."""
        ahead = planes.ndim - 3
        if not self.axis:
            return np.ascontiguousarray(planes).reshape(*planes.shape[:ahead], *self.shape)
        rest = self.shape[: self.axis] + self.shape[self.axis + 1 :]
        tensor = planes.reshape(*planes.shape[:ahead], self.sides[0], *rest)
        return np.ascontiguousarray(np.moveaxis(tensor, ahead, ahead + self.axis))


def best_axis(samples: Array) -> int:
    """Return the axis of a sample along which samples (N, *shape) differ most in magnitude.

    That is where channels lie: their scales differ, those of places do less. A tensor of three
    sides or more has them at its first or its last.
    """
    last = samples.ndim - 2
    size = np.abs(samples).mean(axis=0, dtype=np.float64)

    def spread(axis: int) -> float:
        others = tuple(at for at in range(size.ndim) if at != axis)
        return float(size.mean(axis=others).var())

    return max(dict.fromkeys((0, last)), key=spread)

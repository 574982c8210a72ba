"""Codecs that quantise floats to a few evenly spaced levels between two ends."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from offramp.codecs import packing, zstd
from offramp.codecs.clipping import best_clip
from offramp.codecs.codec import Codec, Parameters
from offramp.codecs.effect import Effect
from offramp.errors import ConfigError, FrameError, InputError
from offramp.tensors import Array, TensorSpec

__all__ = ["Affine", "dequantise", "quantise"]

_ENDS = struct.Struct("<ff")


@dataclass(frozen=True)
class Affine(Codec):
    """Per-tensor affine quantisation to ``2**bits`` levels between two ends, low and high.

    The ends are those of ``clip`` if the codec is calibrated, else the sample's own least and
    greatest element. Elements beyond an end become that end.
    """

    bits: int
    clip: tuple[float, float] | None = None

    @property
    def top(self) -> int:
        """The highest code, which stands for the high end."""
        return (1 << self.bits) - 1

    def supports(self, spec: TensorSpec) -> bool:
        """Say whether the tensor is of float32 or float16."""
        return spec.dtype in ("float32", "float16")

    def encode(self, sample: Array) -> bytes:
        """Return the two ends and the compressed codes."""
        values = sample.ravel()
        ends = float(values.min()), float(values.max())
        if not all(map(math.isfinite, ends)):
            raise InputError(
                f"codec {self.name!r} carries finite numbers only, not a sample from "
                f"{ends[0]} to {ends[1]}; send it as 'fp16' or 'lossless'"
            )
        if self.clip:
            ends, values = self.clip, np.clip(values, *self.clip, dtype=np.float32)
        codes = quantise(values, ends, self.top)
        return _ENDS.pack(*ends) + zstd.compress(packing.pack(codes, self.bits).data)

    def decode(self, payload: bytes | memoryview, spec: TensorSpec) -> Array:
        """Return the level that each code stands for."""
        if len(payload) < _ENDS.size:
            raise FrameError(f"payload has {len(payload)} bytes; its ends alone take {_ENDS.size}")
        low, high = _ENDS.unpack_from(payload)
        largest = float(np.finfo(spec.dtype).max)
        if not -largest <= low <= high <= largest:
            raise FrameError(f"payload has the ends {low} and {high}, no range of {spec.dtype}")
        size_bytes = packing.packed_bytes(spec.elements, self.bits)
        packed = zstd.decompress(payload[_ENDS.size :], size_bytes)
        codes = packing.unpack(np.frombuffer(packed, np.uint8), spec.elements, self.bits)
        values = dequantise(codes, (low, high), self.top)
        return values.astype(spec.dtype, copy=False).reshape(spec.shape)

    def fit(self, samples: Array, effect: Effect) -> Self:
        """Return this codec with the ends that lose least on ``samples``."""
        values = samples.ravel()
        if not np.isfinite(values).all():
            raise InputError(f"codec {self.name!r} cannot be calibrated on infinite numbers")
        ends = best_clip(values, lambda part, ends: self._through(part, ends))
        return replace(self, clip=ends)

    def _through(self, values: Array, ends: tuple[float, float]) -> Array:
        return dequantise(quantise(np.clip(values, *ends), ends, self.top), ends, self.top)

    def parameters(self) -> Parameters:
        """Return the calibrated ends."""
        return {} if self.clip is None else {"low": self.clip[0], "high": self.clip[1]}

    def with_parameters(self, parameters: Mapping[str, float | Array]) -> Self:
        """Return this codec with stored ends, or uncalibrated if there are none."""
        if not parameters:
            return replace(self, clip=None)
        if set(parameters) != {"low", "high"}:
            raise ConfigError(
                f"codec {self.name!r} takes the parameters low and high, "
                f"not {', '.join(sorted(parameters))}"
            )
        with np.errstate(over="ignore"):
            low, high = (float(np.float32(parameters[end])) for end in ("low", "high"))
        if not -math.inf < low < high < math.inf:
            raise ConfigError(f"codec {self.name!r} cannot clip to low {low} and high {high}")
        return replace(self, clip=(low, high))


def quantise(values: Array, ends: tuple[float, float], top: int) -> Array:
    """Return the nearest code of each value between the ends: 0 for the low, ``top`` the high."""
    low, high = ends
    if low == high:
        return np.zeros(values.shape, np.uint8)
    scaled = np.subtract(values, low, dtype=_working_dtype(high - low))
    scaled *= top / (high - low)
    codes: Array = np.rint(scaled, out=scaled).astype(np.uint8)
    return codes


def dequantise(codes: Array, ends: tuple[float, float], top: int) -> Array:
    """Return the level that each code stands for."""
    low, high = ends
    dtype = _working_dtype(high - low)
    levels: Array = np.multiply(codes, dtype((high - low) / top))
    levels += dtype(low)
    return levels.astype(np.float32, copy=False)


def _working_dtype(span: float) -> Any:
    """Return float64 for spans whose scale or inverse float32 cannot hold, else float32."""
    return np.float32 if 1e-30 < span < 1e38 else np.float64

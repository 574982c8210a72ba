"""Codecs that quantise each channel to a few evenly spaced levels of its own.

Offsets, steps and a dictionary for Zstandard are learnt from samples and kept in the bundle; a
frame holds compressed codes only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from offramp.codecs import packing, zstd
from offramp.codecs.calibrated import CalibratedCodec, Learnt
from offramp.codecs.clipping import best_clip
from offramp.codecs.effect import Effect
from offramp.codecs.planes import Planes, best_axis
from offramp.codecs.steps import find_scale, relative_steps
from offramp.errors import ConfigError
from offramp.tensors import Array

__all__ = ["Channel"]

_WIDTHS = (0.8, 1.0, 1.25, 1.5)  # times the range with the least mean square error
_DEARER = 1.5  # times the least change of answers, for which coarser steps save bytes
_UNSEEN = 2e-5  # a change that needs no finer steps
_SEEN_VALUES = 2048  # of a channel, to find its range
_TRAINED_BYTES = 1 << 22
_DICTIONARY_BYTES = 1 << 14
_HALF = np.float32(0.5)
_LEAST_STEP, _LARGEST = 1e-37, 3e38


@dataclass(frozen=True, eq=False)
class _Grid:
    """Levels of each channel: code ``q`` of channel ``c`` stands for offset_c + q step_c.

    ``offsets`` and ``steps`` are float32 (C,); codes have ``bits`` bits, in C order of ``planes``.
    """

    planes: Planes
    offsets: Array
    steps: Array
    bits: int

    def __post_init__(self) -> None:
        for each in (self.offsets, self.steps):
            if each.dtype != np.float32 or each.shape != self.planes.sides[:1]:
                raise ConfigError(f"a grid has float32 offsets and steps for each of {self.planes}")
        last = self.offsets + self.top * self.steps.astype(np.float64)
        if not ((self.steps > _LEAST_STEP).all() and (np.abs(last) < _LARGEST).all()):
            raise ConfigError("a grid has levels out of range; compile the bundle again")

    @property
    def top(self) -> int:
        """The highest code."""
        return (1 << self.bits) - 1

    def quantise(self, values: Array) -> Array:
        """Return the codes of values (..., C, H, W), uint8."""
        with np.errstate(over="ignore"):
            scaled = values - self.offsets[:, None, None]
            scaled *= self._inverse
        scaled += _HALF
        np.maximum(scaled, _HALF, out=scaled)
        np.minimum(scaled, np.float32(self.top), out=scaled)
        return np.asarray(scaled.astype(np.uint8))

    def dequantise(self, codes: Array) -> Array:
        """Return what codes (..., C, H, W) stand for, as float32."""
        values = np.multiply(codes, self.steps[:, None, None])
        values += self.offsets[:, None, None]
        return values

    def packed(self, values: Array) -> memoryview:
        """Return the codes of (C, H, W), several to a byte."""
        return packing.pack(self.quantise(values).ravel(), self.bits).data

    def through(self, samples: Array) -> Array:
        """Return what becomes of samples (N, *shape)."""
        return self.planes.restore(self.dequantise(self.quantise(self.planes.view(samples))))

    @cached_property
    def _inverse(self) -> Array:
        return (1 / self.steps.astype(np.float64)).astype(np.float32)[:, None, None]


@dataclass(frozen=True, eq=False)
class _Packed(Learnt):
    """A grid, and a dictionary for its packed codes, empty for none."""

    grid: _Grid
    dictionary: bytes

    def __post_init__(self) -> None:
        self.prepare()  # which raises `ConfigError` for what is no dictionary

    @property
    def planes(self) -> Planes:  # type: ignore[override]
        """Those of the grid."""
        return self.grid.planes

    def arrays(self) -> dict[str, Array]:
        """Return offsets, steps, and the dictionary if there is one."""
        found = {"offsets": self.grid.offsets, "steps": self.grid.steps}
        if self.dictionary:
            found["dictionary"] = np.frombuffer(self.dictionary, np.uint8)
        return found

    def encode(self, values: Array) -> bytes | None:
        """Return the compressed codes."""
        if not np.isfinite(values).all():
            return None
        return self._zstd.compress(self.grid.packed(values))

    def decode(self, payload: bytes | memoryview) -> Array | None:
        """Return the level that each code stands for."""
        elements, bits = math.prod(self.planes.sides), self.grid.bits
        size_bytes = packing.packed_bytes(elements, bits)
        packed = np.frombuffer(self._zstd.decompress(payload, size_bytes), np.uint8)
        codes = packing.unpack(packed, elements, bits)
        return self.grid.dequantise(codes.reshape(self.planes.sides))

    def prepare(self) -> None:
        """Let Zstandard read the dictionary."""
        self._zstd.compress(b"")

    @cached_property
    def _zstd(self) -> zstd.Headless:
        return zstd.Headless(self.dictionary)


@dataclass(frozen=True)
class Channel(CalibratedCodec[_Packed]):
    """Per-channel affine quantisation to at most ``2**bits`` levels, calibrated.

    Each channel's range is that of the least mean square error, all widened by what changes the
    answers least. Where the answers need no steps as fine as that allows, they are coarser
    (`offramp.codecs.steps`), for then zeros and small codes are more frequent. Where no value is
    negative, zero stays exactly zero.
    """

    bits: int = 8

    def learnt_of(self, planes: Planes, arrays: Mapping[str, Array]) -> _Packed:
        """Return a stored grid and dictionary."""
        if not {"offsets", "steps"} <= set(arrays) <= {"offsets", "steps", "dictionary"}:
            raise ConfigError(
                f"codec {self.name!r} takes offsets, steps and perhaps a dictionary, not "
                f"{', '.join(sorted(arrays)) or 'none of these'}"
            )
        dictionary = arrays.get("dictionary", np.zeros(0, np.uint8)).tobytes()
        return _Packed(_Grid(planes, arrays["offsets"], arrays["steps"], self.bits), dictionary)

    def fit(self, samples: Array, effect: Effect) -> Self:
        """Return this codec with the grid that changes answers little, and a dictionary for it."""
        self.check(samples)
        grid = self._best_grid(samples, effect)
        packed_bytes = packing.packed_bytes(samples[0].size, self.bits)
        some = grid.planes.view(samples[: max(_TRAINED_BYTES // packed_bytes, 1)])
        contents = [bytes(grid.packed(values)) for values in some]
        return replace(self, learnt=_Packed(grid, zstd.train(contents, _DICTIONARY_BYTES)))

    def _best_grid(self, samples: Array, effect: Effect) -> _Grid:
        planes = Planes(samples.shape[1:], best_axis(samples))
        values = planes.view(samples)
        top = (1 << self.bits) - 1
        lows, highs = _ranges(values, top)
        sparse, relative = bool(values.min() >= 0), relative_steps(effect, planes)

        def grid_at(width: float, scale: float) -> _Grid:
            steps = np.maximum(width * (highs - lows) / top, scale * relative)
            steps = np.maximum(steps, 1e-30).astype(np.float32)
            middle = (lows + highs) / 2 - steps * (top / 2)
            offsets = np.zeros_like(lows) if sparse else middle
            return _Grid(planes, offsets.astype(np.float32), steps, self.bits)

        changes = {width: effect.of(grid_at(width, 0.0).through) for width in _WIDTHS}
        width = min(_WIDTHS, key=changes.__getitem__)
        fine = width * (highs - lows) / top / relative
        scale = find_scale(
            lambda scale: effect.of(grid_at(width, scale).through),
            max(_DEARER * changes[width], _UNSEEN * effect.share),
            float(np.median(fine)),
            max(top * float(fine.max()), 1e-30),
        )
        return grid_at(width, scale)


def _ranges(values: Array, top: int) -> tuple[Array, Array]:
    """Return the ends of each channel, float64 (C,), that lose least of (N, C, H, W)."""

    def through(part: Array, ends: tuple[float, float]) -> Array:
        step = (ends[1] - ends[0]) / top
        return ends[0] + np.clip(np.rint((part - ends[0]) / step), 0, top) * step

    rows = values.swapaxes(0, 1).reshape(values.shape[1], -1)
    rows = rows[:, :: -(-rows.shape[1] // _SEEN_VALUES)]
    floor = 0.0 if values.min() >= 0 else None
    ends = []
    for row in rows:
        low = float(row.min()) if floor is None else floor
        ends.append(best_clip(row, through) or (low, max(float(row.max()), low + 1)))
    lows, highs = np.array(ends).T
    return lows, highs

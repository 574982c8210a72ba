"""Cluttered digits: an image task of varying difficulty from scikit-learn's handwritten digits.

Each image is a 96 x 96 RGB scene with one whole digit (the label) among fragments of other
digits, strokes and occluding patches. Scale, rotation, contrast, clutter, occlusion and noise
grow with a difficulty drawn per image. Source digits are disjoint between the splits.

Images are equal byte for byte on every machine: all randomness is drawn from
``numpy.random.RandomState``, whose stream NumPy has frozen (NEP 19), as integers only, and the
drawing is integer arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Literal, get_args

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from offramp.errors import ConfigError

__all__ = ["CLASSES", "SIZE", "Split", "draw", "load", "source_digits"]

SIZE = 96
CLASSES = tuple("0123456789")
Split = Literal["train", "calibration", "test"]

_ONE = 1 << 16  # fixed-point one
_SHARES = {"train": (0, 60), "calibration": (60, 80), "test": (80, 100)}  # per cent of each class
_GRID = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij")).astype(np.int64)

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


def load(split: Split, count: int, *, seed: int = 0, start: int = 0) -> tuple[Images, Labels]:
    """Return images ``start`` to ``start + count - 1`` of a split and their labels.

    Images are uint8 of shape (count, 96, 96, 3); labels are int64 in 0..9. The same arguments
    give the same bytes, and image ``i`` does not depend on ``start`` or ``count``.
    """
    drawn = [draw(split, index, seed=seed) for index in range(start, start + count)]
    images = np.array([image for image, _ in drawn], dtype=np.uint8).reshape(-1, SIZE, SIZE, 3)
    return images, np.array([label for _, label in drawn], dtype=np.int64)


def draw(split: Split, index: int, *, seed: int = 0) -> tuple[Images, int]:
    """Draw one image of shape (96, 96, 3) and its label; a pure function of its arguments."""
    sources, labels = source_digits(split)
    rng = RandomState([seed, get_args(Split).index(split), index])
    difficulty = int(rng.randint(0, 101))
    chosen = int(rng.randint(len(sources)))

    canvas = _background(rng)
    ground = canvas.sum(axis=(0, 1)) // (SIZE * SIZE)
    for _ in range(int(rng.randint(0, 2 + difficulty // 9))):
        _fragment(canvas, sources[rng.randint(len(sources))], rng)
    for _ in range(int(rng.randint(0, 2 + difficulty // 25))):
        _stroke(canvas, rng)
    centre = _digit(canvas, sources[chosen], ground, difficulty, rng)
    for _ in range(int(rng.randint(0, 2 + difficulty // 30))):
        _occlude(canvas, centre, difficulty, rng)
    amplitude = 3 + difficulty * 42 // 100
    noise = rng.randint(-amplitude, amplitude + 1, (2, SIZE, SIZE, 3)).sum(axis=0)
    return np.clip(canvas + noise, 0, 255).astype(np.uint8), int(labels[chosen])


@cache
def source_digits(split: Split) -> tuple[NDArray[np.int64], Labels]:
    """Return the 8 x 8 source digits (values 0..16) that a split may use, with their labels."""
    if split not in _SHARES:
        raise ConfigError(f"unknown split {split!r}; choose one of {', '.join(_SHARES)}")
    from sklearn.datasets import load_digits

    digits = load_digits()
    low, high = _SHARES[split]
    members: list[int] = []
    for label in range(10):
        of_class = np.flatnonzero(digits.target == label)
        members.extend(of_class[len(of_class) * low // 100 : len(of_class) * high // 100])
    return digits.images[members].astype(np.int64), digits.target[members].astype(np.int64)


def _background(rng: RandomState) -> NDArray[np.int64]:
    coarse = rng.randint(30, 226, 3) + rng.randint(-28, 29, (7, 7, 3))
    at = np.arange(SIZE) * 6 * _ONE // (SIZE - 1)
    cell = np.minimum(at >> 16, 5)
    rest = at - (cell << 16)
    rows = coarse[cell] * (_ONE - rest)[:, None, None] + coarse[cell + 1] * rest[:, None, None]
    rows >>= 16
    across = rest[None, :, None]
    return np.asarray((rows[:, cell] * (_ONE - across) + rows[:, cell + 1] * across) >> 16)


def _digit(
    canvas: NDArray[np.int64],
    source: NDArray[np.int64],
    ground: NDArray[np.int64],
    difficulty: int,
    rng: RandomState,
) -> tuple[int, int]:
    jitter = 5 + difficulty * 11 // 100
    centre = tuple(int(c) for c in SIZE // 2 + rng.randint(-jitter, jitter + 1, 2))
    degrees = int(rng.randint(-8 - difficulty * 27 // 100, 9 + difficulty * 27 // 100))
    pixels = int(rng.randint(62 - difficulty * 26 // 100, 68))
    contrast = 120 - difficulty * 75 // 100
    sign = np.where(ground > 127, -1, 1)
    if rng.randint(3) == 0:  # not only dark on light or light on dark: one channel may differ
        sign[rng.randint(3)] *= -1
    colour = np.asarray(ground + sign * (contrast + rng.randint(0, 40, 3))).clip(0, 255)
    _paste(canvas, source, centre, degrees, pixels, colour)
    return centre  # type: ignore[return-value]


def _fragment(canvas: NDArray[np.int64], source: NDArray[np.int64], rng: RandomState) -> None:
    top, left = rng.randint(0, 5, 2)
    centre = tuple(int(c) for c in rng.randint(4, SIZE - 4, 2))
    _paste(
        canvas,
        source[top : top + 4, left : left + 4],
        centre,
        int(rng.randint(-180, 181)),
        int(rng.randint(14, 30)),
        rng.randint(0, 256, 3),
    )


def _stroke(canvas: NDArray[np.int64], rng: RandomState) -> None:
    degrees = int(rng.randint(0, 180))
    across, along = _turn(degrees)
    offset = across * (_GRID[0] - int(rng.randint(SIZE))) + along * (
        _GRID[1] - int(rng.randint(SIZE))
    )
    canvas[np.abs(offset) < int(rng.randint(1, 3)) * _ONE] = rng.randint(0, 256, 3)


def _occlude(
    canvas: NDArray[np.int64], centre: Sequence[int], difficulty: int, rng: RandomState
) -> None:
    height, width = rng.randint(4, 8 + difficulty * 14 // 100, 2)
    top, left = (np.array(centre) + rng.randint(-24, 20, 2)).clip(0, SIZE - 4)
    canvas[top : top + height, left : left + width] = rng.randint(0, 256, 3)


def _paste(
    canvas: NDArray[np.int64],
    stencil: NDArray[np.int64],
    centre: Sequence[int],
    degrees: int,
    pixels: int,
    colour: NDArray[np.int64],
) -> None:
    """Blend ``colour`` over the canvas through a stencil (values 0..16) drawn ``pixels`` wide."""
    side = stencil.shape[0]
    cos, sin = _turn(degrees)
    reach = pixels * (side + 2) // side  # half the diagonal of the padded stencil, rounded up
    rows, columns = (slice(max(c - reach, 0), c + reach) for c in centre)
    dy, dx = _GRID[0][rows, columns] - centre[0], _GRID[1][rows, columns] - centre[1]
    middle = (side - 1) * _ONE // 2 + _ONE  # one further: the stencil is padded by a ring of zeros
    v = (cos * dy - sin * dx) * side // pixels + middle
    u = (sin * dy + cos * dx) * side // pixels + middle
    inside = (v >= 0) & (u >= 0) & (v < (side + 1) * _ONE) & (u < (side + 1) * _ONE)
    v, u = v[inside], u[inside]
    y, x, fy, fx = v >> 16, u >> 16, v & (_ONE - 1), u & (_ONE - 1)
    padded = np.pad(stencil, 1)
    top = padded[y, x] * (_ONE - fx) + padded[y, x + 1] * fx
    bottom = padded[y + 1, x] * (_ONE - fx) + padded[y + 1, x + 1] * fx
    value = ((top >> 8) * (_ONE - fy) + (bottom >> 8) * fy) >> 16  # 0..16 with 8 bits below
    opacity = np.clip((value - 4 * 256) >> 3, 0, 256)[:, None]  # sharper than the soft stencil
    under = canvas[rows, columns]
    under[inside] = (under[inside] * (256 - opacity) + colour * opacity) >> 8


def _turn(degrees: int) -> tuple[int, int]:
    angle = math.radians(degrees)
    return round(math.cos(angle) * _ONE), round(math.sin(angle) * _ONE)

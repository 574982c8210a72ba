"""Spreads: times that are not the same twice, as quantiles to draw from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

__all__ = ["Draws", "Spread", "mean_s"]


def _as_row(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


def _rising(quantiles: tuple[float, ...]) -> tuple[float, ...]:
    for before, after in pairwise(quantiles):
        if after < before:
            raise ValueError(f"quantiles do not fall, but {after:g} follows {before:g}")
    return quantiles


Spread = Annotated[
    tuple[Annotated[float, Field(ge=0, le=1)], ...],
    Field(min_length=1),
    BeforeValidator(_as_row),
    AfterValidator(_rising),
]
"""The type of a settings field with a time in seconds that spreads: its quantiles at evenly spaced
shares, from the least to the most. One number is a time that does not spread."""


def mean_s(quantiles_s: Sequence[float]) -> float:
    """Return the mean of a spread, linear between its quantiles."""
    if len(quantiles_s) == 1:
        return quantiles_s[0]
    middles = [(low + high) / 2 for low, high in pairwise(quantiles_s)]
    return sum(middles) / len(middles)


class Draws:
    """Times drawn from a spread one after the other, between two quantiles by linear interpolation.

    ``least_s`` is the least that can come. The same spread and seed give the same times.
    """

    __slots__ = ("_quantiles_s", "_random", "least_s")

    def __init__(self, quantiles_s: tuple[float, ...], seed: str) -> None:
        self.least_s = quantiles_s[0]
        self._quantiles_s = quantiles_s
        self._random = Random(seed) if len(quantiles_s) > 1 else None

    def next_s(self) -> float:
        """Return the next time."""
        if self._random is None:
            return self.least_s
        place = self._random.random() * (len(self._quantiles_s) - 1)
        at = int(place)
        low, high = self._quantiles_s[at : at + 2]
        return low + (high - low) * (place - at)

"""Codecs of very few levels, after Cohen, Choi and Bajić (arXiv 2105.06002).

A tensor is clipped and takes one of a few levels, chosen for square error and entropy together
(`offramp.codecs.coarse_levels`). Where theirs binarises the indices for an adaptive coder, these
code them in the context of their neighbours, like `offramp.codecs.context`. Levels and
probabilities are in the bundle; a frame holds the coded indices only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Self

import numpy as np

from offramp.codecs.coarse_levels import find_levels
from offramp.codecs.coded import Coded, CodedCodec, few, learn_changes, models_of
from offramp.codecs.effect import Effect
from offramp.codecs.planes import Planes, best_axis
from offramp.errors import ConfigError
from offramp.tensors import Array

__all__ = ["Coarse"]

_MOST_OFFERED = 4
_BIT_COST = 0.03  # of the order-0 entropy; in context bits are cheaper
_DEARER = 1.5  # times the least change of answers, for which a wider range saves bytes
_TAILS = (0.5, 0.3, 0.15, 0.06, 0.02, 0.005, 0.001, 0.0)  # of values beyond an end tried
_SEEN_VALUES = 1 << 16


@dataclass(frozen=True, eq=False)
class _Levels(Coded):
    """Levels float32 (N,) and thresholds float32 (N - 1,), whose indices are coded."""

    levels: Array
    thresholds: Array

    def __post_init__(self) -> None:
        super().__post_init__()
        levels, thresholds = self.levels, self.thresholds
        sound = (
            levels.dtype == thresholds.dtype == np.float32
            and levels.shape == (thresholds.size + 1,)
            and np.isfinite(levels).all()
            and np.isfinite(thresholds).all()
            and (np.diff(thresholds) >= 0).all()
        )
        if not sound:
            raise ConfigError(
                f"levels {levels} and thresholds {thresholds} do not go with each other; compile "
                "the bundle again"
            )

    def arrays(self) -> dict[str, Array]:
        """Return levels, thresholds and the models' arrays."""
        return {"levels": self.levels, "thresholds": self.thresholds, **super().arrays()}

    def given(self, values: Array) -> Array | None:
        """Return the indices."""
        return _indices(values, self.thresholds) if np.isfinite(values).all() else None

    def made(self, found: Array) -> Array | None:
        """Return the level of each index."""
        if found.min() < 0 or found.max() > len(self.levels) - 1:
            return None
        return self.levels[found.astype(np.uint8)]


@dataclass(frozen=True)
class Coarse(CodedCodec[_Levels]):
    """One of ``count`` levels for each element, coded in context.

    The first and the last level are the ends of a range for the whole tensor. Of those that change
    the tail's answers little more than the best does, it is the widest, which takes fewest bytes.
    Where no value is negative its low end is zero.
    """

    count: int = 2

    quick: ClassVar[bool] = False

    @property
    def offered(self) -> bool:  # type: ignore[override]
        """Those of few levels: the others take more bytes than `Context` for the same answers."""
        return self.count <= _MOST_OFFERED

    def learnt_of(self, planes: Planes, arrays: Mapping[str, Array]) -> _Levels:
        """Return stored levels."""
        model = dict(arrays)
        levels, thresholds = (model.pop(name, np.zeros(0)) for name in ("levels", "thresholds"))
        if levels.size != self.count:
            raise ConfigError(f"codec {self.name!r} takes {self.count} levels, not {levels}")
        return _Levels(planes, *models_of(model), levels, thresholds)

    def fit(self, samples: Array, effect: Effect) -> Self:
        """Return this codec with the range and the levels that change answers least."""
        self.check(samples)
        from offramp.codecs.context_model import Quantiser, fit_model

        planes = Planes(samples.shape[1:], best_axis(samples))
        levels, thresholds = self._best_levels(samples, effect)
        values = planes.view(few(samples))
        indices = _indices(values, thresholds)
        usual = 0.0 if samples.min() >= 0 else float(np.median(indices))
        one = np.ones(planes.sides[0], np.float32)
        model = fit_model(indices, Quantiser(usual * one, one, 0.5, usual == 0))
        learnt = _Levels(planes, model, None, levels, thresholds)
        return replace(self, learnt=learn_changes(learnt, values))

    def _best_levels(self, samples: Array, effect: Effect) -> tuple[Array, Array]:
        seen = samples.ravel()[:: -(-samples.size // _SEEN_VALUES)]
        tried = [_float32(find_levels(seen, ends, self.count, _BIT_COST)) for ends in _ranges(seen)]
        changes = [effect.of(partial(_through, *one)) for one in tried]
        good = _DEARER * min(changes)
        return [one for one, change in zip(tried, changes, strict=True) if change <= good][-1]


def _indices(values: Array, thresholds: Array) -> Array:
    """Return the level's index for each value, as float32."""
    found = np.zeros(values.shape, np.float32)
    for threshold in thresholds:
        found += values >= threshold
    return found


def _through(levels: Array, thresholds: Array, values: Array) -> Array:
    """Return the level that each value takes."""
    return levels[_indices(values, thresholds).astype(np.uint8)]


def _float32(arrays: tuple[Array, Array]) -> tuple[Array, Array]:
    return arrays[0].astype(np.float32), arrays[1].astype(np.float32)


def _ranges(values: Array) -> list[tuple[float, float]]:
    """Return the ranges to be tried, from narrow to wide."""
    tails = np.array(_TAILS)
    if values.min() >= 0:
        positive = values[values > 0] if values.max() > 0 else np.ones(1)
        return [(0.0, float(high)) for high in np.quantile(positive, 1 - tails)]
    lows, highs = np.quantile(values, tails / 2), np.quantile(values, 1 - tails / 2)
    highs = np.maximum(highs, lows + 1e-6 * np.abs(lows) + 1e-30)
    return list(zip(lows.tolist(), highs.tolist(), strict=True))

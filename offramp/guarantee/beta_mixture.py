"""How often an exit agrees with the deep model at each score, after FREE (Bae et al., EMNLP 2023).

Scores of an exit are a mixture of two Beta distributions: of samples on which it agrees with the
deep model, and of those on which it does not. Which is which is known, without labels, of every
sample that went on to the deep model. Each is fitted by its moments, mean m and variance v:

    alpha = m (m (1 - m) / v - 1),   beta = (1 - m) (m (1 - m) / v - 1).

The chance to agree at a score is w_1 f_1 / (w_0 f_0 + w_1 f_1). FREE takes the least score at
which it is above a target, which a wide f_1 puts near 0. Here a score counts as the worst at or
above it, so that the threshold is the least score from which on the target is reached.

Both kinds forget alike: what was seen fades by exp(-w / memory) with each new weight w. So the
shares of the two and their moments follow the last ``memory`` samples or so, in six numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.tensors import Array

__all__ = ["BetaMixture"]

_ENOUGH = 10
_INSIDE = 1e-3
_GRID = np.linspace(_INSIDE, 1 - _INSIDE, 999)
_LOG, _LOG_REST = np.log(_GRID), np.log1p(-_GRID)

Floats = NDArray[np.float64]


@dataclass
class _Moments:
    """Weight, mean and weighted squares of what was seen (West, CACM 1979); ``seen`` counts."""

    seen: int = 0
    weight: float = 0.0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, scores: Array) -> _Moments:
        inside = np.clip(scores, _INSIDE, 1 - _INSIDE).astype(np.float64)
        mean = float(inside.mean()) if inside.size else 0.0
        return cls(inside.size, float(inside.size), mean, float(((inside - mean) ** 2).sum()))

    def add(self, value: float, weight: float) -> None:
        self.seen += 1
        self.weight += weight
        off = value - self.mean
        self.mean += off * weight / self.weight
        self.squares += weight * off * (value - self.mean)

    def fade(self, factor: float) -> None:
        self.weight *= factor
        self.squares *= factor

    def log_share(self) -> Floats:
        """Return the logarithm of weight times Beta density; a kind counts as one sample at least.

        What has not been seen for ever so long would otherwise be held to be impossible.
        """
        most = self.mean * (1 - self.mean)
        variance = min(max(self.squares / max(self.weight, 1e-300), 1e-6), 0.999 * most)
        mass = most / variance - 1
        alpha, beta = self.mean * mass, (1 - self.mean) * mass
        norm = math.lgamma(alpha + beta) - math.lgamma(alpha) - math.lgamma(beta)
        weight = math.log(max(self.weight, 1.0))
        return np.asarray((alpha - 1) * _LOG + (beta - 1) * _LOG_REST + norm + weight)


class BetaMixture:
    """Learns one exit's chance to agree, from samples that went on.

    ``memory`` is the weight that it remembers, in samples.
    """

    def __init__(self, memory: float = math.inf) -> None:
        if not memory >= 1:
            raise ConfigError(f"a memory of {memory:g} samples is none; give 1 or more")
        self._memory = memory
        self._kinds: tuple[_Moments, ...] = (_Moments(), _Moments())
        self._chances: Floats | None = None

    @classmethod
    def fitted(cls, scores: Array, agrees: Array, memory: float = math.inf) -> BetaMixture:
        """Return what has seen these samples, scores and bools (N,), all alike recent."""
        mixture = cls(memory)
        known = ~np.isnan(scores)
        fading = min(1.0, memory / max(int(known.sum()), 1))
        kinds = (_Moments.of(scores[known & (agrees == kind)]) for kind in (False, True))
        mixture._kinds = tuple(kinds)
        for moments in mixture._kinds:
            moments.fade(fading)
        return mixture

    def observe(self, score: float, agrees: bool, weight: float = 1.0) -> None:
        """Take the exit's score in [0, 1], and whether the deep model then answered the same.

        ``weight`` is how many samples this one stands for. A score that is no number is passed by.
        """
        if math.isnan(score):
            return
        for kind in self._kinds:
            kind.fade(math.exp(-weight / self._memory))
        self._kinds[agrees].add(min(max(score, _INSIDE), 1 - _INSIDE), weight)
        self._chances = None

    def chances(self) -> Floats | None:
        """Return the chance to agree, at worst, from each of 999 scores on; None if unknown.

        The scores are 0.001 to 0.999. It is known once ten samples of either kind were seen.
        """
        if min(kind.seen for kind in self._kinds) < _ENOUGH:
            return None
        if self._chances is None:
            other, same = (kind.log_share() for kind in self._kinds)
            chances = 1 / (1 + np.exp(np.clip(other - same, -700, 700)))
            self._chances = np.minimum.accumulate(chances[::-1])[::-1]
        return self._chances

    def chance_from(self, score: float) -> float | None:
        """Return the chance to agree, at worst, from a score on; None if unknown."""
        chances = self.chances()
        if chances is None:
            return None
        return float(chances[min(int(np.searchsorted(_GRID, score)), len(_GRID) - 1)])

    def threshold(self, target: float) -> float | None:
        """Return the least score from which on the chance to agree is ``target`` or more.

        Above 1 if there is none; None if the chance is unknown.
        """
        chances = self.chances()
        if chances is None:
            return None
        first = int(np.searchsorted(chances, target))
        return float(_GRID[first]) if first < len(_GRID) else 2.0

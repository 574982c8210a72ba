"""An exit threshold that adapts to what is seen, after FREE (Bae et al., EMNLP 2023).

Scores of an exit are a mixture of two Beta distributions: of samples on which it agrees with the
deep model, and of those on which it does not. Which is which is known, without labels, of every
sample that went on to the deep model. Each is fitted by its moments, mean m and variance v:

    alpha = m (m (1 - m) / v - 1),   beta = (1 - m) (m (1 - m) / v - 1).

The threshold is the least score from which on the chance to agree, w_1 f_1 / (w_0 f_0 + w_1 f_1),
is above a target. FREE takes the least score with that property, which a wide f_1 puts near 0.

Samples that left tell nothing; where only unsure ones go on, the fit is of these. So show it a
share of the others as well. It adapts and promises nothing: a certificate does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError

__all__ = ["BetaMixture"]

_ENOUGH = 10
_INSIDE = 1e-3
_GRID = np.linspace(_INSIDE, 1 - _INSIDE, 999)


@dataclass
class _Moments:
    """Count, mean and sum of squared deviations of what was seen (Welford, 1962)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        off = value - self.mean
        self.mean += off / self.count
        self.squares += off * (value - self.mean)

    def log_density(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logarithm of the Beta density of these moments."""
        most = self.mean * (1 - self.mean)
        variance = min(max(self.squares / self.count, 1e-6), 0.999 * most)
        mass = most / variance - 1
        alpha, beta = self.mean * mass, (1 - self.mean) * mass
        norm = math.lgamma(alpha + beta) - math.lgamma(alpha) - math.lgamma(beta)
        return np.asarray((alpha - 1) * np.log(at) + (beta - 1) * np.log1p(-at) + norm)


class BetaMixture:
    """Learns one exit's threshold from samples that went on. Memory is constant.

    ``target`` is the chance to agree that is enough to leave; FREE takes 0.4. ``initial`` is the
    threshold until ten samples of either kind were seen.
    """

    def __init__(self, target: float = 0.9, initial: float = 0.9) -> None:
        if not 0 < target < 1 or not initial >= 0:
            raise ConfigError(
                f"a target of {target:g} and a first threshold of {initial:g} do not do; the one "
                "lies between 0 and 1, the other is 0 or more"
            )
        self._target, self._initial = target, initial
        self._kinds = (_Moments(), _Moments())

    def observe(self, score: float, agrees: bool) -> None:
        """Take the exit's score in [0, 1], and whether the deep model then answered the same."""
        self._kinds[agrees].add(min(max(score, _INSIDE), 1 - _INSIDE))

    def chance_to_agree(self) -> NDArray[np.float64] | None:
        """Return it at scores 0.001 to 0.999 in steps of 0.001 or so; None if too few were seen."""
        if min(kind.count for kind in self._kinds) < _ENOUGH:
            return None
        other, same = (math.log(k.count) + k.log_density(_GRID) for k in self._kinds)
        return np.asarray(1 / (1 + np.exp(np.clip(other - same, -700, 700))))

    def threshold(self) -> float:
        """Return the least score from which on the target is reached; above 1 if there is none."""
        chances = self.chance_to_agree()
        if chances is None:
            return self._initial
        below = np.flatnonzero(chances <= self._target)
        first = int(below[-1]) + 1 if below.size else 0
        return float(_GRID[first]) if first < len(_GRID) else 2.0

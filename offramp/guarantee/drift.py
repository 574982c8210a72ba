"""Drift: whether what a device sees still looks like the samples that it was calibrated on.

A certificate speaks of samples like those. The watch looks at what a device knows without labels:
at which exit each sample leaves, and how sure the exits are. It raises a false alarm on a stream
that never ends with probability at most alpha:

- The calibration samples bound each mean from both sides: {m: n kl(mean, m) <= log(1 / a)}, by
  Hoeffding's inequality (JASA 1963, theorem 1), which holds for any values in [0, 1]. Half of alpha
  is spent on these bounds.
- For each bound b that a mean may not exceed, a gambler stakes a share f of a capital at each
  sample: it is multiplied by 1 + f (x / b - 1), with mean at most 1 while the bound holds (testing
  by betting, Waudby-Smith and Ramdas, JRSS B 2024). Of a total of 1 a part is put in at each
  sample, so what was put in when the stream changed grows from then on, however late that is (as
  in the e-detectors of Shin, Ramdas and Rinaldo, 2024, here with a total that is finite). The
  capital and what is left to put in are together a supermartingale; by Ville's inequality they
  reach 1 / a with probability at most a. Half of alpha is spent on these.

A few hundred numbers are kept, however long the stream.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.guarantee.outcomes import CLOSED, Outcomes

__all__ = ["DriftWatch", "Expected", "Moved", "expect"]

_STAKES = 0.5 ** np.arange(1, 9)
_RECENT = 200

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Expected:
    """Q means of calibration samples, and what they may be with probability 1 - ``alpha`` / 2.

    ``names`` say of what: of the samples that come to each exit that runs, the share that leaves
    there, and their mean score; ``exits`` are these. So it does not matter which samples are never
    seen at a later exit, for lack of time. ``alpha`` is the chance of a false alarm in all.
    """

    exits: tuple[int, ...]
    names: tuple[str, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    alpha: float


@dataclass(frozen=True)
class Moved:
    """A mean that has left what was expected: its name, that range, and where it is of late.

    ``samples`` is how many the watch had seen. ``recent`` weighs the last 200 or so.
    """

    name: str
    low: float
    high: float
    recent: float
    samples: int

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.recent:.3f} of late, {self.low:.3f} to {self.high:.3f} in "
            f"calibration; seen after {self.samples} samples"
        )


def expect(outcomes: Outcomes, thresholds: Floats, alpha: float = 0.01) -> Expected:
    """Return what a device sees that runs these thresholds on samples like the calibration's."""
    if not 0 < alpha < 1:
        raise ConfigError(f"a chance of a false alarm of {alpha:g} is none; give 0 < alpha < 1")
    places = outcomes.places(thresholds)
    exits = tuple(int(at) for at in np.flatnonzero(thresholds < CLOSED))
    values = [(f"share that leaves at exit {at}", places[places >= at] == at) for at in exits]
    values += [(f"mean score at exit {at}", outcomes.scores[at, places >= at]) for at in exits]
    seen = [(name, float(part.mean()) if part.size else 0.5, part.size) for name, part in values]
    level = alpha / 2 / (2 * len(seen))
    return Expected(
        exits,
        tuple(name for name, _, _ in seen),
        tuple(mean for _, mean, _ in seen),
        tuple(1 - _above(1 - mean, count, level) for _, mean, count in seen),
        tuple(_above(mean, count, level) for _, mean, count in seen),
        alpha,
    )


class DriftWatch:
    """Sees each sample once and says when a mean has left its range. It has no clock."""

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        limits = np.array([*expected.high, *(1 - low for low in expected.low)])
        self._limits = np.maximum(limits, 1e-9)[:, None]
        self._enough = 2 * len(limits) / expected.alpha
        self._capital = np.zeros((len(limits), len(_STAKES)))
        self._recent = np.array(expected.mean)
        self._samples = 0

    def observe(self, place: int, scores: Sequence[float]) -> Moved | None:
        """Take one sample: the exit at which it was sure enough, or E; and each exit's score, (E,).

        A score is NaN where the sample did not come to that exit; those behind ``place`` are not
        read. Returns the mean that is furthest beyond doubt once there is one, and from then on.
        """
        sure = [scores[at] if at <= place else math.nan for at in self._expected.exits]
        left = [
            math.nan if math.isnan(scores[at]) or at > place else float(place == at)
            for at in self._expected.exits
        ]
        seen = np.array([*left, *sure])
        known = ~np.isnan(seen)
        self._samples += 1
        self._stake(np.concatenate([seen, 1 - seen])[:, None])
        weight = 1 / min(self._samples, _RECENT)
        self._recent[known] += weight * (seen - self._recent)[known]
        return self._moved()

    def _stake(self, seen: Floats) -> None:
        put_in = (_unspent(self._samples - 1) - _unspent(self._samples)) / len(_STAKES)
        factor = 1 + _STAKES * (seen / self._limits - 1)
        grown = (self._capital + put_in) * np.where(np.isnan(factor), 1.0, factor)
        self._capital = np.minimum(grown, 1e100)

    def _moved(self) -> Moved | None:
        capital = self._capital.sum(axis=1)
        most = int(capital.argmax())
        if capital[most] < self._enough:
            return None
        at = most % len(self._expected.names)
        return Moved(
            self._expected.names[at],
            self._expected.low[at],
            self._expected.high[at],
            float(self._recent[at]),
            self._samples,
        )


def _unspent(samples: int) -> float:
    """Return how much of the total of 1 is left to put in after some samples."""
    return 1 / (1 + math.log1p(samples))


def _above(mean: float, count: int, level: float) -> float:
    """Return the largest m with ``count`` kl(mean, m) <= log(1 / level), by bisection."""
    if not count:
        return 1.0
    low, high, most = mean, 1.0, math.log(1 / level) / count
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _divergence(mean, middle) <= most else (low, middle)
    return high


def _divergence(p: float, q: float) -> float:
    """Return kl between Bernoulli distributions, infinite where q cannot give p."""
    left = p * math.log(p / q) if p > 0 else 0.0
    if p >= 1:
        return left
    return left + (1 - p) * math.log((1 - p) / (1 - q)) if q < 1 else math.inf

"""What a rate is like in three figures, measured over seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.rates.source import RateSource

__all__ = ["Rates", "RateStatistics", "rate_statistics", "window_rates"]

Rates = NDArray[np.float64]
"""Mean rates over windows that follow each other, (windows,), in bits per second."""


@dataclass(frozen=True)
class RateStatistics:
    """The mean of a rate, and how its means over single seconds vary.

    `cov` is their standard deviation over their mean (the coefficient of variation), `lag1` the
    correlation of each with the one after it.
    """

    mean_bps: float
    cov: float
    lag1: float


def window_rates(source: RateSource, until_s: float, window_s: float) -> Rates:
    """The mean rates over the whole windows from 0 to `until_s`."""
    # The share of a window keeps rounding from losing the last one.
    windows = int(until_s / window_s + 1e-6)
    served = [source.served_bytes(n * window_s, (n + 1) * window_s) for n in range(windows)]
    return np.array(served) * (8 / window_s)


def rate_statistics(runs: Sequence[Rates]) -> RateStatistics:
    """The statistics of rates over seconds, in runs of two or more of which each weighs the same.

    A rate that never changes has a `lag1` of 0.
    """
    mean_bps = float(np.mean([run.mean() for run in runs]))
    deviations = [run - mean_bps for run in runs]
    variance = float(np.mean([(run**2).mean() for run in deviations]))
    following = float(np.mean([(run[:-1] * run[1:]).mean() for run in deviations]))
    lag1 = following / variance if variance > 0 else 0.0
    return RateStatistics(mean_bps, variance**0.5 / mean_bps, lag1)

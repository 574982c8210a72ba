"""A Markov chain fitted to recorded rates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.rates.markov import MarkovState
from sim.rates.statistics import Rates, window_rates
from sim.rates.trace import RateTrace

__all__ = ["SHORTEST_S", "fit_markov"]

SHORTEST_S = 10.0
"""A trace must last as long as this for a chain to be fitted to it."""

_WINDOW_S = 0.5
_OUT = 0.02
_ROUNDS = 500

_Numbers = NDArray[np.intp]


def fit_markov(traces: Sequence[RateTrace], states: int = 8) -> tuple[MarkovState, ...]:
    """The chain of at most `states` states that moves as the traces do, the commonest state first.

    The rates over half seconds are put into levels: those below 2 % of the mean are an outage and
    a level of their own, the others are clustered by k-means (Lloyd, IEEE Trans. Inf. Theory
    28(2), 1982), which starts from the quantiles of those that differ. A state's rate is its
    level's mean. Its dwell time and its successors are those of the chain in discrete time with
    the shares of steps that were counted, which is the likeliest one (Anderson and Goodman, Ann.
    Math. Stat. 28(1), 1957). Every trace weighs the same and is followed by the next, the last by
    the first. Nothing is random. Raises `ValueError` if a trace is shorter than `SHORTEST_S`.
    """
    if min(trace.period_s for trace in traces) < SHORTEST_S:
        raise ValueError(f"a chain is fitted to traces of at least {SHORTEST_S:g} s")
    runs = [window_rates(trace, trace.period_s, _WINDOW_S) for trace in traces]
    weights = np.concatenate([np.full(len(run), 1 / len(run)) for run in runs])
    rates = np.concatenate(runs)
    level_of = _levels(rates, weights, states)
    count = int(level_of.max()) + 1
    shares = np.bincount(level_of, weights, count)
    levels_bps = np.bincount(level_of, weights * rates, count) / shares
    steps = np.zeros((count, count))
    np.add.at(steps, (level_of, np.roll(level_of, -1)), weights)
    return _chain(levels_bps, steps, np.argsort(-shares, kind="stable"))


def _levels(rates: Rates, weights: Rates, states: int) -> _Numbers:
    """The level of each rate, counted from 0 without a gap."""
    rates = rates / np.average(rates, weights=weights)
    out = rates < _OUT
    alive, weighing = rates[~out], weights[~out]
    clusters = max(states - int(out.any()), 1)
    # What rounding alone tells apart is one rate.
    distinct = np.unique(np.round(alive, 9))
    centres = np.unique(np.quantile(distinct, (np.arange(clusters) + 0.5) / clusters))
    for _ in range(_ROUNDS):
        nearest = np.searchsorted((centres[1:] + centres[:-1]) / 2, alive)
        mass = np.bincount(nearest, weighing, centres.size)
        sums = np.bincount(nearest, weighing * alive, centres.size)
        moved = sums[mass > 0] / mass[mass > 0]
        if np.array_equal(moved, centres):
            break
        centres = moved
    level_of = np.zeros(rates.size, np.intp)
    level_of[~out] = np.searchsorted((centres[1:] + centres[:-1]) / 2, alive) + 1
    return np.unique(level_of, return_inverse=True)[1]


def _chain(levels_bps: Rates, steps: Rates, order: _Numbers) -> tuple[MarkovState, ...]:
    """The chain in continuous time whose steps per window are in these proportions."""
    if len(levels_bps) == 1:
        return (MarkovState(float(levels_bps[0]), 1.0, (1.0,)),)
    states = []
    for one in order:
        leaving = steps[one].sum() - steps[one, one]
        onward = [float(steps[one, other] / leaving) if other != one else 0.0 for other in order]
        dwell_s = _WINDOW_S * steps[one].sum() / leaving
        states.append(MarkovState(float(levels_bps[one]), float(dwell_s), tuple(onward)))
    return tuple(states)

"""A Markov chain with given statistics, for links of which nothing else is known.

The rate is low * ratio**k, where k of eight switches are on and each flips at random at the same
speed: the urn of P. and T. Ehrenfest (Physikalische Zeitschrift 8, 1907), which is the birth and
death chain that stands for an Ornstein-Uhlenbeck process (Karlin and McGregor, J. Appl. Prob. 2,
1965). So the logarithm of the rate is a first-order autoregression in eight steps. With
d = (ratio - 1) / (ratio + 1) and a correlation of exp(-v t) of k over a time t, the covariance of
the rate over t, in shares of its squared mean, is

    (1 + d^2 exp(-v t))^8 - 1 = sum over j = 1..8 of C(8, j) d^(2 j) exp(-j v t),

whose mean over one second, or between a second and the next, has a closed form for every j.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb, expm1, sqrt

from offramp.quantities import figure
from sim.rates.markov import MarkovState
from sim.rates.statistics import RateStatistics

__all__ = ["chain_of"]

_SWITCHES = 8
_WIDEST = 0.98  # the d of a ratio of 99
_SPEEDS = (1e-6, 1e3)
_HALVINGS = 80


@lru_cache(maxsize=64)
def chain_of(statistics: RateStatistics) -> tuple[MarkovState, ...]:
    """The chain with these statistics, nine states of which the middle one is the first.

    Raises `ValueError` if `lag1` is not between 0 and 1, or too low for so high a `cov`.
    """
    cov, lag1 = statistics.cov, statistics.lag1
    if not (0 < lag1 < 1 and cov > 0 and statistics.mean_bps > 0):
        raise ValueError(f"lag1 must be above 0 and below 1, not {figure(lag1)}, and cov above 0")
    # Between speeds that differ by as much as these, halve in logarithms.
    low, high = _SPEEDS
    for _ in range(_HALVINGS):
        middle = sqrt(low * high)
        if _cov(_WIDEST, middle) >= cov and _lag1(_width(cov, middle), middle) > lag1:
            low = middle
        else:
            high = middle
    width = _width(cov, low)
    if abs(_lag1(width, low) - lag1) > 1e-3 or abs(_cov(width, low) - cov) > 1e-3 * cov:
        raise ValueError(
            f"no chain has a cov of {figure(cov)} and a lag1 of {figure(lag1)}: lower the cov"
        )
    return _chain(statistics.mean_bps, width, low)


def _chain(mean_bps: float, width: float, speed: float) -> tuple[MarkovState, ...]:
    ratio = (1 + width) / (1 - width)
    low_bps = mean_bps * (2 / (1 + ratio)) ** _SWITCHES
    # A switch flips at half the speed, for a flip moves it by twice its deviation.
    dwell_s = 2 / (_SWITCHES * speed)
    order = sorted(range(_SWITCHES + 1), key=lambda on: abs(on - _SWITCHES // 2))
    return tuple(
        MarkovState(
            low_bps * ratio**on,
            dwell_s,
            tuple(_next_share(on, other) for other in order),
        )
        for on in order
    )


def _next_share(on: int, other: int) -> float:
    """How often the next flip leaves `other` switches on where `on` are."""
    if other == on - 1:
        return on / _SWITCHES
    return (_SWITCHES - on) / _SWITCHES if other == on + 1 else 0.0


def _width(cov: float, speed: float) -> float:
    """The d with which the means over seconds have this coefficient of variation."""
    low, high = 0.0, _WIDEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _cov(middle, speed) < cov else (low, middle)
    return high


def _cov(width: float, speed: float) -> float:
    return sqrt(sum(share * _within(n * speed) for n, share in _terms(width)))


def _lag1(width: float, speed: float) -> float:
    within = sum(share * _within(n * speed) for n, share in _terms(width))
    between = sum(share * _between(n * speed) for n, share in _terms(width))
    return between / within


def _terms(width: float) -> list[tuple[int, float]]:
    return [(n, comb(_SWITCHES, n) * width ** (2 * n)) for n in range(1, _SWITCHES + 1)]


def _within(speed: float) -> float:
    """The mean of exp(-speed |s - t|) over all s and t in one second."""
    if speed < 1e-4:
        return 1 - speed / 3
    return 2 * (speed + expm1(-speed)) / speed**2


def _between(speed: float) -> float:
    """The mean of exp(-speed |s - t|) over all s in one second and t in the next."""
    return (expm1(-speed) / speed) ** 2

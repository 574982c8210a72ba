"""A rate that a seeded Markov chain generates, for links without a recording."""

from __future__ import annotations

from array import array
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from random import Random

import numpy as np

from sim.rates.curve import bytes_at, time_of
from sim.rates.source import CRUMB_BYTES

__all__ = ["LTE", "MarkovRate", "MarkovState", "stays"]

_FEWEST_KNOTS = 32


@dataclass(frozen=True)
class MarkovState:
    """A rate, how long it lasts in the mean, and the weight of each state that may follow."""

    bps: float
    dwell_s: float
    next: tuple[float, ...]


LTE = (
    MarkovState(1.33e6, 5.41, (0, 0.104, 0.608, 0.031, 0.031, 0, 0.227, 0)),
    MarkovState(8.71e6, 1.56, (0.048, 0, 0.457, 0.421, 0.045, 0.015, 0.015, 0)),
    MarkovState(5.34e6, 1.47, (0.367, 0.52, 0, 0.107, 0, 0, 0.006, 0)),
    MarkovState(14.1e6, 1.22, (0, 0.461, 0.063, 0, 0.365, 0.048, 0.048, 0.016)),
    MarkovState(22.1e6, 1.23, (0, 0.068, 0, 0.5, 0, 0.386, 0.023, 0.023)),
    MarkovState(29.1e6, 1.25, (0, 0, 0, 0.209, 0.666, 0, 0, 0.125)),
    MarkovState(0.0218e6, 2.47, (0.717, 0.169, 0.114, 0, 0, 0, 0, 0)),
    MarkovState(46.9e6, 1.3, (0, 0, 0, 0.2, 0.2, 0.6, 0, 0)),
)
"""A chain that looks like LTE: fitted to mahimahi's four ATT and T-Mobile LTE traces, up and down.

`python -m benchmarks.generators --lte TRACE...` prints it and how near it comes to them."""

_Chain = tuple[tuple[float, float, list[float]], ...]
"""Of each state how often it is left, in 1/s, what it serves, in bytes/s, and the weights of the
states after it, added up."""

_DOUBLINGS = 100  # of a time of half the shortest stay


def stays(states: Sequence[MarkovState], seed: str) -> Iterator[tuple[float, float]]:
    """Every stay in a state, how long, and how many bytes a second; endless.

    It lasts an exponentially distributed time with the mean `dwell_s`; the state after it is drawn
    by the weights `next`. The chain is met somewhere in its course: the first state is drawn by its
    share of all time, and what is left of a stay is as long as a whole one. Raises `ValueError` if
    the rate could become 0 for ever.
    """
    chain, random = _checked(tuple(states)), Random(seed)
    last = len(chain) - 1
    at = bisect(_shares(tuple(states)), random.random(), 0, last)
    while True:
        leaving_hz, bytes_per_s, weights = chain[at]
        stay_s = random.expovariate(leaving_hz)
        at = bisect(weights, random.random() * weights[-1], 0, last)
        yield stay_s, bytes_per_s


class MarkovRate:
    """A piecewise constant rate, which `stays` makes as it is asked for.

    The same seed gives the same rate, in whatever order it is asked for. Memory does not grow with
    time: the curve of served bytes is kept for as far back as it has been asked for, and made once
    more from the start on if somebody asks for what is before.
    """

    def __init__(self, states: Sequence[MarkovState], seed: str) -> None:
        self._states, self._seed = tuple(states), seed
        self._kept = _FEWEST_KNOTS
        _checked(self._states)
        self._begin()

    def served_bytes(self, from_s: float, to_s: float) -> float:
        """The integral of the rate from `from_s` to `to_s`, in bytes."""
        if to_s <= from_s:
            return 0.0
        before = self._position(from_s)  # the earlier one first: what is behind is forgotten
        return self._position(to_s) - before

    def finish_s(self, start_s: float, nbytes: float) -> float:
        """The first time by which `nbytes` are served from `start_s` on."""
        if nbytes <= 0:
            return start_s
        target = self._position(start_s) + nbytes
        while self._served[-1] < target - CRUMB_BYTES:
            self._stay()
        return max(start_s, time_of(self._times_s, self._served, target))

    def _begin(self) -> None:
        self._stays = stays(self._states, self._seed)
        self._times_s, self._served = array("d", [0.0]), array("d", [0.0])

    def _position(self, now_s: float) -> float:
        if now_s < self._times_s[0]:
            self._kept *= 2
            self._begin()
        while self._times_s[-1] <= now_s:
            self._stay()
        return bytes_at(self._times_s, self._served, now_s)

    def _stay(self) -> None:
        stay_s, bytes_per_s = next(self._stays)
        times_s, served = self._times_s, self._served
        end_s = times_s[-1] + stay_s
        if end_s <= times_s[-1]:
            return
        times_s.append(end_s)
        served.append(served[-1] + stay_s * bytes_per_s)
        if len(times_s) > 2 * self._kept:
            del times_s[: self._kept], served[: self._kept]


@lru_cache(maxsize=64)
def _checked(states: tuple[MarkovState, ...]) -> _Chain:
    """Refuse a chain whose rate can become 0 for ever, which no byte would outlive."""
    for number, state in enumerate(states):
        if len(state.next) != len(states) or min(state.next) < 0 or sum(state.next) <= 0:
            raise ValueError(
                f"state {number} needs {len(states)} weights in next, none negative and not all 0"
            )
    alive = {number for number, state in enumerate(states) if state.bps > 0}
    for _ in states:
        alive |= {n for n, state in enumerate(states) if any(state.next[a] > 0 for a in alive)}
    if dead := set(range(len(states))) - alive:
        raise ValueError(f"state {min(dead)} must lead to a state with bps above 0")
    return tuple((1 / one.dwell_s, one.bps / 8, list(accumulate(one.next))) for one in states)


@lru_cache(maxsize=64)
def _shares(states: tuple[MarkovState, ...]) -> list[float]:
    """Return the share of all time that a chain is in each state, added up.

    That is where a chain is to be found that was in its first state very long ago.
    """
    steps = np.array([state.next for state in states], float)
    steps /= steps.sum(axis=1, keepdims=True)
    stay_s = np.array([[state.dwell_s] for state in states])
    often = stay_s.min() / 2 / stay_s
    moves = often * steps + (1 - often) * np.eye(len(states))
    for _ in range(_DOUBLINGS):
        moves = moves @ moves
        moves /= moves.sum(axis=1, keepdims=True)
    return list(accumulate(moves[0].tolist()))

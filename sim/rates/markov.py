"""A rate that a seeded Markov chain generates, for links without a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from sim.rates.curve import bytes_at, time_of
from sim.rates.source import CRUMB_BYTES

__all__ = ["LTE", "MarkovRate", "MarkovState"]


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


class MarkovRate:
    """A piecewise constant rate that moves between states and is generated as it is asked for.

    It starts in the first state. A stay lasts an exponentially distributed time with the mean
    `dwell_s`; the state after it is drawn by the weights `next`. The same seed gives the same
    rate, in whatever order it is asked for.
    """

    def __init__(self, states: Sequence[MarkovState], seed: str) -> None:
        _check(states)
        self._states, self._state = tuple(states), 0
        self._random = Random(seed)
        self._times_s, self._served = [0.0], [0.0]

    def served_bytes(self, from_s: float, to_s: float) -> float:
        """The integral of the rate from `from_s` to `to_s`, in bytes."""
        return self._position(to_s) - self._position(from_s) if to_s > from_s else 0.0

    def finish_s(self, start_s: float, nbytes: float) -> float:
        """The first time by which `nbytes` are served from `start_s` on."""
        if nbytes <= 0:
            return start_s
        target = self._position(start_s) + nbytes
        while self._served[-1] < target - CRUMB_BYTES:
            self._step()
        return max(start_s, time_of(self._times_s, self._served, target))

    def _position(self, now_s: float) -> float:
        while self._times_s[-1] <= now_s:
            self._step()
        return bytes_at(self._times_s, self._served, now_s)

    def _step(self) -> None:
        state = self._states[self._state]
        stay_s = self._random.expovariate(1 / state.dwell_s)
        self._state = self._random.choices(range(len(self._states)), state.next)[0]
        if stay_s > 0 and self._times_s[-1] + stay_s > self._times_s[-1]:
            self._times_s.append(self._times_s[-1] + stay_s)
            self._served.append(self._served[-1] + stay_s * state.bps / 8)


def _check(states: Sequence[MarkovState]) -> None:
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

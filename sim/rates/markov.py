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
    MarkovState(6.3e6, 2.0, (0, 0.60, 0.02, 0.35, 0.02, 0.01)),
    MarkovState(12e6, 1.6, (0.52, 0, 0.44, 0.03, 0, 0.01)),
    MarkovState(24e6, 2.8, (0.06, 0.90, 0, 0, 0, 0.04)),
    MarkovState(2.7e6, 1.5, (0.54, 0.03, 0, 0, 0.41, 0.02)),
    MarkovState(0.9e6, 1.0, (0.15, 0, 0, 0.80, 0, 0.05)),
    MarkovState(0.03e6, 1.5, (0, 0, 0, 0.40, 0.60, 0)),
)
"""A chain that looks like LTE: its levels, dwell times and steps are rounded from the half-second
rates of mahimahi's four ATT and T-Mobile LTE traces."""


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

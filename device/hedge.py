"""The hedge: how much the device may compute on while answers are under way.

A device that waits for the server is idle, so it may go on by itself, and the first answer counts.
What that takes of processor and battery is held within a budget that fills with time.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from offramp.settings import Settings
from partitioner.power import Power

__all__ = ["Hedge", "HedgeSettings", "patience_s"]

_BURST_S = 5.0
"""So many seconds of the budget may be saved up."""

_SHORTEST_S = 0.001
_MOST_LOST = 0.9


class HedgeSettings(Settings):
    """The most that computing on may take: a share of the processor's time, and watts in the mean.

    With a share of 0 there is no hedge; by default it takes half of the time at most. Watts count
    only if the device's profile says what computing draws.
    """

    max_cpu_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    max_w: Annotated[float, Field(gt=0)] | None = None

    def share(self, power: Power | None) -> float:
        """Return the share of the processor's time that both limits leave."""
        if self.max_w is None or power is None or power.compute_w <= 0:
            return self.max_cpu_share
        return min(self.max_cpu_share, self.max_w / power.compute_w)


class Hedge:
    """A budget of seconds that fills by ``share`` each second, up to a burst; time is an argument.

    Once it is spent there is no hedge until half of a burst has been saved, so that plans do not
    go to and fro.
    """

    __slots__ = ("_burst_s", "_left_s", "_now_s", "_open", "_share")

    def __init__(self, share: float) -> None:
        self._share = share
        self._left_s = self._burst_s = share * _BURST_S
        self._now_s = -math.inf
        self._open = share > 0

    def is_open(self, now_s: float) -> bool:
        """Tell whether the device may compute on now."""
        if now_s > self._now_s:
            if self._now_s > -math.inf:
                gained_s = (now_s - self._now_s) * self._share
                self._left_s = min(self._left_s + gained_s, self._burst_s)
            self._now_s = now_s
        if self._left_s >= self._burst_s / 2:
            self._open = self._share > 0
        return self._open

    def opens_s(self, now_s: float) -> float:
        """Return when the device may compute on, if it may not now; infinite if never."""
        if self._share <= 0:
            return math.inf
        return now_s + max((self._burst_s / 2 - self._left_s) / self._share, _SHORTEST_S)

    def spend(self, seconds: float) -> None:
        """Take in that the device computed on for a time."""
        self._left_s -= seconds
        if self._left_s <= 0:
            self._open = False


def patience_s(step_s: float, rest_s: float, rate_hz: float) -> float:
    """Return how late an answer has to be before it pays to compute on for a step of ``step_s``.

    A step holds up a sample that comes meanwhile, by half of it in the mean, with a chance of
    ``rate_hz`` times its length. It gains its length if the device answers first, in ``rest_s``: an
    answer that is late by l is so by as much more with a chance of l / (l + rest_s), as outages
    have heavy tails (Pareto's, of index 1). The two are equal at this l.
    """
    lost = min(rate_hz * step_s / 2, _MOST_LOST)
    return rest_s * lost / (1 - lost)

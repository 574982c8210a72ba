"""Heed: how much a server's wait and congestion price count for a device when it chooses.

Devices alike that are told the same would all leave a busy server at once, and all come back to an
idle one. So each has a factor of its own: as waits grow devices leave one by one, until those that
stay have room. It wanders to and fro, so that none stays away for good. What a device believes of
its own latency stays as it is: the difference is in the price.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

__all__ = ["Heed", "draw_heed"]

_SWEEP_S = 120.0


@dataclass(frozen=True)
class Heed:
    """A factor that goes from 1 / ``spread`` to ``spread`` in two minutes, and back.

    At any time its logarithm is as likely to be anywhere, if ``phase`` is: where on its way, 0 to
    2, it is at time 0.
    """

    spread: float = 1.0
    phase: float = 0.0

    def at(self, now_s: float) -> float:
        """Return the factor."""
        place = (self.phase + now_s / _SWEEP_S) % 2.0
        return float(self.spread ** (1.0 - 2.0 * abs(place - 1.0)))

    def price_s(self, now_s: float, queue_s: float, price_s: float) -> float:
        """Return the price at which wait and price count as many times as they are heeded.

        The wait counts once in the latency as it is. A price is never negative.
        """
        factor = self.at(now_s)
        return max(factor * price_s + (factor - 1.0) * queue_s, 0.0)


def draw_heed(spread: float, dice: Random) -> Heed:
    """Return the heed of one device among many."""
    return Heed(spread, dice.uniform(0.0, 2.0))

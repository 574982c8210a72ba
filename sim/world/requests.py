"""Requests: when those of one device come, which samples they are, and which of them count."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from sim.arrivals import Arrivals
from sim.world.scenario import Scenario

__all__ = ["Requests", "arrivals_seed", "build_requests"]


def arrivals_seed(seed: int, device: str) -> str:
    """Return the seed of the arrivals at a device in the run with a seed."""
    return f"{seed}/{device}/arrivals"


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of one device.

    ``times_s`` count from its start; without them each comes when the device is ready for it. It
    is one of so many ``samples``, drawn with ``random``. At most ``count`` come, none later than
    ``until_s``; those before ``counted_from_s`` on the world's clock are not tallied.
    """

    times_s: Iterator[float] | None
    samples: int
    random: Random
    count: float = math.inf
    until_s: float = math.inf
    counted_from_s: float = 0.0

    def next_s(self, came: int) -> float:
        """Return when the next request comes after so many; infinite if none does."""
        if self.times_s is None or came >= self.count:
            return math.inf
        time_s = next(self.times_s, math.inf)
        return time_s if time_s <= self.until_s else math.inf

    def are_over(self, came: int, spent_s: float) -> bool:
        """Tell whether no more come after so many and so long, where each waits for the device."""
        return came >= self.count or spent_s > self.until_s

    def draw(self) -> int:
        """Return which sample the next one is."""
        return self.random.randrange(self.samples)


def build_requests(
    scenario: Scenario, arrivals: Arrivals | None, samples: int, seed: int, device: str
) -> Requests:
    """Return the requests of a device in the run with a seed."""
    return Requests(
        None if arrivals is None else arrivals.times_s(arrivals_seed(seed, device)),
        samples,
        Random(f"{seed}/{device}/samples"),
        count=math.inf if scenario.requests is None else scenario.requests,
        until_s=math.inf if scenario.duration_s is None else scenario.duration_s,
        counted_from_s=scenario.warm_up_s,
    )

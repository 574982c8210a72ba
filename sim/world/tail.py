"""Tails: what a bundle's decoding and segments take a virtual server, by its profile."""

from __future__ import annotations

from itertools import accumulate

from edge_server.passage import Place
from edge_server.scheduling.cost_curve import SIZES
from edge_server.scheduling.step_costs import Step, StepCosts
from partitioner.profile import Profile

__all__ = ["Tail"]


class Tail:
    """The times of one bundle on a server that nothing else loads.

    A step over b samples takes ``fixed_share + (1 - fixed_share) * b`` times as long as over one,
    which is what the profile has measured: every launch has a fixed cost, and each sample its own.
    ``places`` holds what comes next at each boundary, the last of which, ``depth``, is the end.
    """

    def __init__(self, profile: Profile, fixed_share: float) -> None:
        # Measurements waver, but no tail is faster than a shorter one.
        shortest_first = accumulate((t.median_s for t in reversed(profile.tail)), max)
        self._tail_s = list(shortest_first)[::-1]
        self._decode_s = {key: timing.median_s for key, timing in profile.decode.items()}
        self._exits_s = [timing.median_s for timing in profile.tail_runner.exits]
        self._fixed_share = fixed_share
        self.depth = len(self._tail_s) - 1
        self.places = [Place(profile.digest, at, False) for at in range(self.depth + 1)]

    def decode_s(self, cut: int, level: str) -> float:
        """Return how long one sample's frames take to decode."""
        return self._decode_s[f"{cut}/{level}"]

    def step_s(self, start: int, stop: int, count: int) -> float:
        """Return how long segments ``start`` to ``stop - 1`` take, over so many samples as one."""
        one_s = self._tail_s[start] - self._tail_s[stop]
        return one_s * (self._fixed_share + (1 - self._fixed_share) * count)

    def exit_s(self, exit_: int, count: int) -> float:
        """Return how long an exit takes, over so many samples as one."""
        return self._exits_s[exit_] * (self._fixed_share + (1 - self._fixed_share) * count)

    def teach(self, costs: StepCosts) -> None:
        """Tell what a server has measured when it has loaded the bundle."""
        for at in reversed(range(self.depth)):
            for size in SIZES:
                time_s, going = self.step_s(at, at + 1, size), size * (at + 1 < self.depth)
                costs.observe(Step(self.places[at], size, time_s, self.places[at + 1], going))

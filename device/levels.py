"""Levels: by which codec levels a device can send at once, and which it loads first.

Some need compiled loops: 70 MB and a third of a second or more. A device that never sends by one
does without. Where plans are decided anew another one stands in until a level is there; what is
sent by it before, as under a plan that is given, goes losslessly.
"""

from __future__ import annotations

from offramp.boundary_codec import LOSSLESS, codec_of
from offramp.bundle import Manifest

__all__ = ["Level", "Levels", "slow_levels"]

Level = tuple[int, str]
"""A cut and a level at which its boundary is encoded."""


def slow_levels(manifest: Manifest) -> frozenset[Level]:
    """Return the levels that have to be loaded, where samples can go losslessly until then."""
    return frozenset(
        (cut, level)
        for cut, boundary in enumerate(manifest.boundaries)
        for level in boundary.levels
        if LOSSLESS in boundary.levels
        and not all(codec_of(level, tensor, boundary).quick for tensor in boundary.tensors)
    )


class Levels:
    """Which of the ``slow`` levels one device has loaded; ``loading`` is the one under way.

    Each is loaded when it is first wanted, one at a time.
    """

    __slots__ = ("_given_up", "_missing", "loading")

    def __init__(self, slow: frozenset[Level]) -> None:
        self._missing = set(slow)
        self._given_up: set[Level] = set()
        self.loading: Level | None = None

    def choose(self, cut: int, wanted: str) -> tuple[str, bool]:
        """Return the level to send at now, and whether to begin to load the one wanted."""
        if (cut, wanted) not in self._missing:
            return wanted, False
        begins = self.loading is None and (cut, wanted) not in self._given_up
        if begins:
            self.loading = cut, wanted
        return LOSSLESS, begins

    def loaded(self, cut: int, level: str) -> None:
        """Take in that a level is there."""
        self._missing.discard((cut, level))

    def give_up(self, cut: int, level: str) -> None:
        """Take in that a level cannot be loaded, and so will not be there."""
        self._given_up.add((cut, level))

    def stopped(self) -> None:
        """Take in that nothing is being loaded any more, be it there or not."""
        self.loading = None

"""Readiness: when a virtual device has which codec levels, as `device.levels` loads them.

The first one that is loaded brings what all of them share, so that the others take next to no
time; still, the sample that is the first to want one goes losslessly.
"""

from __future__ import annotations

from device.levels import Level, Levels
from device.pauses import FIRST_LOAD_S
from partitioner.plan import Plan

__all__ = ["Readiness"]

_SHORT_S = 0.002


class Readiness:
    """What one device has loaded; the first of the ``slow`` levels takes it ``load_s``."""

    __slots__ = ("_ends_s", "_levels", "_load_s")

    def __init__(self, slow: frozenset[Level], load_s: float) -> None:
        self._levels, self._load_s = Levels(slow), load_s
        self._ends_s = 0.0

    def expect(self, now_s: float, plan: Plan) -> float:
        """Begin to load what a plan sends by; return from when on the first sample may come."""
        if self.has(now_s, plan):
            return now_s
        return min(self._ends_s, now_s + FIRST_LOAD_S)

    def has(self, now_s: float, plan: Plan) -> bool:
        """Tell whether samples can go at a plan's level; if not, begin to load it."""
        return plan.level is None or self.level(now_s, plan.cut, plan.level) == plan.level

    def level(self, now_s: float, cut: int, wanted: str) -> str:
        """Return the level to send at now: the one wanted, or losslessly until it is there."""
        self._note(now_s)
        level, begins = self._levels.choose(cut, wanted)
        if begins:
            self._ends_s = now_s + self._load_s
            self._load_s = _SHORT_S
        return level

    def _note(self, now_s: float) -> None:
        """Take in what has been loaded by now."""
        if self._levels.loading is not None and now_s >= self._ends_s:
            self._levels.loaded(*self._levels.loading)
            self._levels.stopped()

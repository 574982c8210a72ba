"""Alarms: a call at a time that is put off again and again, with few events."""

from __future__ import annotations

import math
from collections.abc import Callable

from sim.world.clock import Clock

__all__ = ["Alarm"]


class Alarm:
    """Rings once, at the time that it was last set to.

    SimPy's events cannot be taken back. One that comes too early sets the next, unless one is
    under way that is early enough; so an alarm that is put off often costs no more than one that
    rings.
    """

    __slots__ = ("_armed_s", "_clock", "_ring", "_wanted_s")

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock, self._ring = clock, ring
        self._wanted_s = math.inf
        self._armed_s = [math.inf]  # of all events under way, the earliest last

    def set(self, time_s: float) -> None:
        """Ring at a time, and not at the one set before."""
        self._wanted_s = time_s
        if time_s < self._armed_s[-1]:
            self._arm()

    def _arm(self) -> None:
        self._armed_s.append(self._wanted_s)
        self._clock.at(self._wanted_s, self._come)

    def _come(self, _: object) -> None:
        self._armed_s.pop()
        if self._clock.now_s >= self._wanted_s:
            self._wanted_s = math.inf
            self._ring()
        elif self._wanted_s < self._armed_s[-1]:
            self._arm()

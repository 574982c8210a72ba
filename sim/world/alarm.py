"""Alarms: a call at a time that is put off again and again, with few events."""

from __future__ import annotations

import math
from collections.abc import Callable

from sim.world.clock import Clock

__all__ = ["Alarm"]


class Alarm:
    """Rings once, at the time that it was last set to.

    SimPy's events cannot be taken back, so that one which is too early only sets the next, and an
    alarm that is put off often costs no more than one that rings.
    """

    __slots__ = ("_armed_s", "_clock", "_ring", "_wanted_s")

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock, self._ring = clock, ring
        self._wanted_s = self._armed_s = math.inf

    def set(self, time_s: float) -> None:
        """Ring at a time, and not at the one set before."""
        self._wanted_s = time_s
        if time_s < self._armed_s:
            self._arm()

    def _arm(self) -> None:
        self._armed_s = self._wanted_s
        if self._armed_s < math.inf:
            self._clock.at(self._armed_s, self._come, self._armed_s)

    def _come(self, armed_s: float) -> None:
        if armed_s != self._armed_s:  # an earlier one has taken its place
            return
        self._armed_s = math.inf
        if self._clock.now_s < self._wanted_s:
            self._arm()
        else:
            self._wanted_s = math.inf
            self._ring()

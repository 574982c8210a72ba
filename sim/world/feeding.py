"""Feeding: lets a virtual device's requests come, as `device.agent` feeds samples to a dispatch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from device.dispatch import Dispatch
from device.work import Action
from sim.world.clock import Clock
from sim.world.computing import Computing
from sim.world.requests import Requests

__all__ = ["Feeding"]


class Feeding:
    """Requests come at their times, or whenever the device is ready for one.

    Once it has ``begun``, they count from ``began_s`` on. ``tell`` is given what the dispatch asks
    for.
    """

    __slots__ = (
        *("_clock", "_computing", "_count", "_dispatch", "_feeds", "_requests", "_tell"),
        *("began_s", "begun"),
    )

    def __init__(
        self,
        clock: Clock,
        requests: Requests,
        dispatch: Dispatch,
        computing: Computing,
        tell: Callable[[Iterable[Action]], None],
    ) -> None:
        self._clock, self._requests, self._dispatch = clock, requests, dispatch
        self._computing, self._tell = computing, tell
        self._feeds = self.begun = False
        self.began_s = 0.0
        self._count = 0

    def begin(self, _: object = None) -> None:
        """Let requests come from now on."""
        if self.begun:
            return
        self.begun, self.began_s = True, self._clock.now_s
        self._tell(self._dispatch.begun(self.began_s))
        self._await_next()

    @property
    def is_due(self) -> bool:
        """Whether a request that waited for the device can come now."""
        return self._feeds and self._dispatch.wants_sample

    def feed(self) -> None:
        """Let requests come for as long as the device is ready for one."""
        while self.is_due:
            if self._requests.are_over(self._count, self._clock.now_s - self.began_s):
                self._feeds = False
                self._tell(self._dispatch.ended(self._clock.now_s))
                return
            self._take_one()

    def _await_next(self) -> None:
        """Let the next request come at its time, or see whether it can come now."""
        requests = self._requests
        if requests.times_s is None:
            self._feeds = True
            self.feed()
            return
        time_s = requests.next_s(self._count)
        if time_s == math.inf:
            self._tell(self._dispatch.ended(self._clock.now_s))
        else:
            self._clock.at(self.began_s + time_s, self._arrive)

    def _arrive(self, _: object) -> None:
        self._take_one()
        self._await_next()

    def _take_one(self) -> None:
        number, self._count = self._count, self._count + 1
        self._computing.hold(number, self._requests.draw())
        self._tell(self._dispatch.arrived(self._clock.now_s, number))

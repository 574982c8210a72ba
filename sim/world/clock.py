"""The clock of the world: virtual time, and calls that happen when it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import simpy

__all__ = ["Clock"]


class Clock:
    """SimPy's environment, on which a thing that will happen is one event with one callback.

    A generator process for each message would cost several events each. Calls for one moment
    happen in the order in which they were asked for.
    """

    def __init__(self) -> None:
        self._env = simpy.Environment()

    @property
    def now_s(self) -> float:
        """The time in seconds, which starts at 0."""
        return float(self._env.now)

    def at(self, time_s: float, call: Callable[[Any], None], detail: object = None) -> None:
        """Let ``call`` be made with ``detail`` at a time, which is now if it is past."""
        now_s = self._env.now
        event = simpy.Timeout(self._env, time_s - now_s if time_s > now_s else 0.0, detail)
        event.callbacks.append(lambda happened: call(happened._value))

    def run(self) -> None:
        """Let everything happen that is to."""
        self._env.run()

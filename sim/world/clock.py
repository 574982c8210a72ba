"""The clock of the world: virtual time, and calls that happen when it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import simpy

__all__ = ["Clock"]


class _Call:
    """A call to be made, with what SimPy asks of an event once its time has come.

    Nobody waits for it and nothing asks for its value: all else that `simpy.Event` has is left out.
    """

    __slots__ = ("call", "callbacks", "detail")
    _ok = True

    def __init__(
        self, callbacks: list[Callable[[Any], None]], call: Callable[[Any], None], detail: object
    ) -> None:
        self.callbacks, self.call, self.detail = callbacks, call, detail


class Clock:
    """SimPy's environment, on which a thing that will happen is one event with one callback.

    A generator process for each message would cost several events each. Calls for one moment
    happen in the order in which they were asked for. ``now_s`` starts at 0; ``happened`` counts
    the calls made.
    """

    def __init__(self) -> None:
        self._env = simpy.Environment()
        self._callbacks: list[Callable[[Any], None]] = [self._happen]
        self.now_s, self.happened = 0.0, 0

    def at(self, time_s: float, call: Callable[[Any], None], detail: object = None) -> None:
        """Let ``call`` be made with ``detail`` at a time, which is now if it is past."""
        wait_s = time_s - self.now_s
        event: Any = _Call(self._callbacks, call, detail)
        self._env.schedule(event, delay=wait_s if wait_s > 0 else 0.0)

    def run(self) -> None:
        """Let everything happen that is to."""
        self._env.run()

    def _happen(self, event: _Call) -> None:
        self.now_s = self._env.now
        self.happened += 1
        event.call(event.detail)

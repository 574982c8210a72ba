"""The choice of server: which of several to connect to, and when to return to a better one.

Servers are numbers, in order of preference. What becomes of each step goes in, with its time; the
next step comes out. It has no clock, and its randomness is given to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from device.reconnect import Reconnection

__all__ = ["Check", "ChoiceOfServer", "Connect", "Step"]

_UNHELD_S = 5.0  # a server that does not hold the bundle may hold it later
_LASTS_S = 1.0  # a stream that ended sooner counts as an attempt that failed
_CHECK_S = 1.0
_CHECK_PAUSES_S = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a stream to a server; what is in use goes on until that is done."""

    server: int


@dataclass(frozen=True, slots=True)
class Check:
    """Ask a server whether it is well."""

    server: int


Step = Connect | Check


@dataclass(slots=True)
class _Server:
    """What is known of a server: it is left alone until ``again_s``.

    Since a stream was open it was last connected to at ``tried_s``, and ``ill`` checks in a row
    have failed. It has earned a return at ``return_s`` if it stays well until then.
    """

    attempts: Reconnection = field(default_factory=Reconnection)
    again_s: float = -math.inf
    tried_s: float = -math.inf
    ill: int = 0
    return_s: float | None = None


class ChoiceOfServer:
    """Says what to do next about ``count`` servers, one step at a time.

    While none can be used, or the one in use is to be left, all others are connected to in turn.
    While a less preferred one is in use, those before it are checked, and one that has been well
    for ``return_s``, or for up to twice as long, is connected to: ``draw`` gives a number from 0 to
    1, so that many devices do not all return at once.
    """

    def __init__(self, count: int, return_s: float, draw: Callable[[], float]) -> None:
        self._servers = [_Server() for _ in range(count)]
        self._return_s, self._draw = return_s, draw
        self._busy = self._leaving = False
        self._opened_s = -math.inf
        self.current: int | None = None

    def next(self, now_s: float) -> Step | None:
        """Return the step to take now, if there is one; then say what became of it."""
        if self._busy:
            return None
        due = [number for number in self._wanted() if self._servers[number].again_s <= now_s]
        if not due:
            return None
        self._busy = True
        number = min(due, key=lambda number: (self._servers[number].tried_s, number))
        server = self._servers[number]
        if self._searches or (server.return_s is not None and server.return_s <= now_s):
            server.tried_s = now_s
            return Connect(number)
        return Check(number)

    def wake_s(self) -> float:
        """Return when there may be a step to take, if nothing else happens until then."""
        if self._busy:
            return math.inf
        return min((self._servers[number].again_s for number in self._wanted()), default=math.inf)

    def opened(self, now_s: float, number: int) -> None:
        """Take in that the stream to a server is open: it is in use from now on."""
        self._busy = False
        self._put_off_current(now_s)
        self.current, self._leaving, self._opened_s = number, False, now_s
        for server in self._servers:
            server.tried_s, server.ill, server.return_s = -math.inf, 0, None

    def failed(
        self, now_s: float, number: int, *, held: bool = True, refused: bool = False
    ) -> None:
        """Take in that a server cannot be connected to, and why if that will not change soon.

        It does not hold the bundle, or it refused the device for what one shows the other.
        """
        self._busy = False
        server = self._servers[number]
        server.return_s = None
        pause_s = server.attempts.ended(opened=False, refused=refused)
        server.again_s = now_s + (pause_s if held else _UNHELD_S)

    def checked(self, now_s: float, number: int, *, well: bool) -> None:
        """Take in what a check has shown."""
        self._busy = False
        server = self._servers[number]
        if not well:
            pause_s = _CHECK_PAUSES_S[min(server.ill, len(_CHECK_PAUSES_S) - 1)]
            server.ill, server.return_s, server.again_s = server.ill + 1, None, now_s + pause_s
            return
        if server.return_s is None:
            server.return_s = now_s + self._return_s * (1 + self._draw())
        server.ill, server.again_s = 0, min(now_s + _CHECK_S, max(server.return_s, now_s))

    def leave(self) -> None:
        """Take in that the server in use is to be left, for as soon as another one can be used."""
        self._leaving = self.current is not None

    def lost(self, now_s: float) -> None:
        """Take in that the server in use can be used no longer."""
        self._put_off_current(now_s)
        self.current, self._leaving = None, False

    @property
    def _searches(self) -> bool:
        return self.current is None or self._leaving

    def _wanted(self) -> Iterator[int]:
        """Yield the servers that would be better than what is in use."""
        end = len(self._servers) if self._searches or self.current is None else self.current
        return (number for number in range(end) if number != self.current)

    def _put_off_current(self, now_s: float) -> None:
        if self.current is not None:
            server = self._servers[self.current]
            lasted = now_s - self._opened_s >= _LASTS_S
            server.again_s = now_s + server.attempts.ended(opened=lasted)

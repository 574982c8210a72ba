"""Dialling: a virtual connection opens, breaks and opens again as `device.reconnect` says."""

from __future__ import annotations

import math
from typing import Protocol

from device.reconnect import CONNECT_S, Reconnection
from sim.world.clock import Clock
from sim.world.link import VirtualLink

__all__ = ["Dialled", "Dialling"]

_DIAL_AGAIN_S = 1.0  # gRPC's own pause after a refusal, within an attempt


class Dialled(Protocol):
    """Who is told what becomes of a connection."""

    def opened(self) -> None:
        """Take that it is open."""

    def broke(self, reason: str) -> None:
        """Take that it was open and is gone, with all that was on its way."""

    def failed(self, reason: str) -> None:
        """Take that an attempt to open it has failed."""


class Dialling:
    """Opens a link again and again, until it is closed; ``is_up`` while it is open."""

    __slots__ = (
        *("_breaks", "_clock", "_closed", "_link", "_number", "_opens_by_s", "_owner", "_pauses"),
        "is_up",
    )

    def __init__(self, clock: Clock, link: VirtualLink, owner: Dialled) -> None:
        self._clock, self._link, self._owner = clock, link, owner
        self._pauses = Reconnection()
        self._number = 0  # of the connection that is or will be open
        self._opens_by_s: float | None = None  # when the attempt ends, while a dial is under way
        self.is_up = self._closed = False

    def begin(self) -> None:
        """Begin to connect, and go on to for as long as it is not closed."""
        self._breaks = self._link.breaks_s()
        self._await_break()
        self._attempt()

    def close(self) -> None:
        """Be open no longer, and tell nothing any more."""
        self._closed, self.is_up = True, False

    def break_off(self, reason: str) -> None:
        """Break what is open or about to be, and begin to connect again."""
        self.is_up, self._opens_by_s = False, None
        self._number += 1
        pause_s = self._pauses.ended(opened=True)
        self._clock.at(self._clock.now_s + pause_s, self._attempt)
        self._owner.broke(reason)

    def _attempt(self, _: object = None) -> None:
        self._dial(self._clock.now_s + CONNECT_S)

    def _dial(self, until_s: float) -> None:
        """Open the link if that ends in time, else let the attempt fail then."""
        if self._closed:
            return
        now_s = self._clock.now_s
        open_s = self._link.open_s(now_s)
        if open_s <= until_s:
            self._opens_by_s = until_s
            self._clock.at(open_s, self._open, self._number)
            return
        if open_s < math.inf:
            self._link.forget(now_s)
        self._dial_again(until_s)

    def _dial_again(self, until_s: float) -> None:
        """Dial once more behind a refusal, if the attempt does not end before."""
        now_s = self._clock.now_s
        if now_s + _DIAL_AGAIN_S < until_s:
            self._clock.at(now_s + _DIAL_AGAIN_S, self._dial, until_s)
        else:
            self._clock.at(until_s, self._fail)

    def _open(self, number: int) -> None:
        if self._closed or number != self._number:
            return
        self.is_up, self._opens_by_s = True, None
        self._owner.opened()

    def _fail(self, _: object) -> None:
        if self._closed:
            return
        pause_s = self._pauses.ended(opened=False)
        self._clock.at(self._clock.now_s + pause_s, self._attempt)
        self._owner.failed("the server does not answer; is it running?")

    def _await_break(self) -> None:
        break_s = next(self._breaks, math.inf)
        if break_s < math.inf:
            self._clock.at(break_s, self._break)

    def _break(self, _: object) -> None:
        if self._closed:
            return
        if self.is_up:
            self.break_off("the connection was reset")
        elif self._opens_by_s is not None:
            until_s, self._opens_by_s = self._opens_by_s, None
            self._number += 1
            self._link.forget(self._clock.now_s)
            self._dial_again(until_s)
        self._await_break()

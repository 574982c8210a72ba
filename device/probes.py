"""The probes of a stream: a row at the start, then as the controller asks."""

from __future__ import annotations

import itertools
import math

from device.controller import Controller
from offramp.messages import Probe

__all__ = ["Probes"]

_START_PROBES = 8
_START_PATIENCE_S = 1.0
_FIRST_ID = 1 << 62  # samples count from 0


class Probes:
    """A row of probes at the start, each when the last is answered; then as the controller asks."""

    __slots__ = ("_answered", "_asked_s", "_controller", "_ids", "_start_left")

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._ids = itertools.count(_FIRST_ID)
        self._start_left = _START_PROBES
        self._asked_s = -math.inf
        self._answered = True

    @property
    def warm(self) -> bool:
        """Whether the row at the start is over."""
        return self._start_left == 0 and self._answered

    def end_start(self) -> None:
        """End the row at the start as it is."""
        self._start_left, self._answered = 0, True

    def answered(self, message: int) -> None:
        """Take in that a message was answered; it may be a sample."""
        self._answered |= message >= _FIRST_ID

    def next_s(self, now_s: float) -> float:
        """Return when the next probe is due, if nothing is heard until then."""
        if self.warm:
            return self._controller.next_probe_s(now_s)
        return now_s if self._answered else self._asked_s + _START_PATIENCE_S

    def next(self, now_s: float) -> Probe | None:
        """Return the probe to send now, or None."""
        if not self._answered and now_s - self._asked_s >= _START_PATIENCE_S:
            self.end_start()
        if self.warm:
            padding_bytes = self._controller.probe_bytes(now_s)
            return None if padding_bytes is None else Probe(next(self._ids), padding_bytes)
        if not self._answered:
            return None
        self._start_left -= 1
        self._asked_s, self._answered = now_s, False
        return Probe(next(self._ids), self._controller.next_probe_bytes(now_s))

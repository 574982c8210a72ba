"""Awaited messages: what went out, when an answer is expected, and for how long there is none.

Samples and probes alike. It has no clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from partitioner.plan import Plan

__all__ = ["LOST_S", "Awaited", "AwaitedMessage"]

LOST_S = 5.0
"""An answer that is missing for so long may never come; until then it is as good as a probe."""
_FORGET_S = 60.0


@dataclass(slots=True)
class AwaitedMessage:
    """A message that went out ``at_s``, and is expected to be answered at ``expected_s``.

    It has ``size_bits``, and lay at the end of ``bits`` on the uplink, as far as was known; of the
    time until its answer ``server_s`` were to be the server's. ``plan`` is None for a probe. Of a
    sample that was ``outrun`` the device had the answer first.
    """

    at_s: float
    size_bits: float
    bits: float
    server_s: float
    expected_s: float
    plan: Plan | None
    outrun: bool = False


class Awaited:
    """The messages of one connection that are not answered yet, in the order in which they left."""

    __slots__ = ("_heard_of_s", "_messages")

    def __init__(self) -> None:
        self._messages: dict[int, AwaitedMessage] = {}
        self._heard_of_s = -math.inf

    def add(self, number: int, message: AwaitedMessage) -> None:
        """Await a message that goes out now; what is very old is awaited no longer."""
        if self._messages:
            for old in [n for n, m in self._messages.items() if message.at_s - m.at_s > _FORGET_S]:
                del self._messages[old]
        self._messages[number] = message

    def find(self, number: int) -> AwaitedMessage | None:
        """Return a message that is awaited; None if it is not."""
        return self._messages.get(number)

    def pop(self, number: int) -> AwaitedMessage | None:
        """Return a message and await it no longer; None if it was not awaited."""
        return self._messages.pop(number, None)

    def heard_of(self, message: AwaitedMessage) -> None:
        """Take in an answer: what left before that message tells nothing of a silence now."""
        self._heard_of_s = max(self._heard_of_s, message.at_s)

    def clear(self) -> None:
        """Await nothing any more: the connection is gone."""
        self._messages.clear()

    def forget_plans(self) -> None:
        """Let answers to what is awaited tell of the link alone."""
        for message in self._messages.values():
            message.plan = None

    def has_by(self, at_s: float) -> bool:
        """Tell whether a message that left by a time is still awaited."""
        first = next(iter(self._messages.values()), None)
        return first is not None and first.at_s <= at_s

    @property
    def unheard(self) -> AwaitedMessage | None:
        """The first message that left after the last one of which something was heard."""
        heard_of_s = self._heard_of_s
        for message in self._messages.values():
            if message.at_s > heard_of_s:
                return message
        return None

    def silent_s(self, now_s: float) -> float:
        """Return for how long an answer should have come; those to later messages count for it."""
        unheard = self.unheard
        return 0.0 if unheard is None else max(now_s - unheard.expected_s, 0.0)

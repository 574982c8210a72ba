"""Probing: when the next probe is due, and how long it is.

A short one goes out now and then beside traffic, whose messages are long; short and long ones in
turn when there is no traffic, to tell the round trip from the time per bit. It has no clock, and
sends nothing itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from device.allowance import Allowance
from device.awaited import LOST_S, AwaitedMessage
from device.breaker import Breaker
from partitioner.conditions import Conditions
from partitioner.costs import FRAME_OVERHEAD_BYTES
from partitioner.plan import Plan

__all__ = ["Probing"]

_LONG_S = 0.005  # a long probe should take the uplink this long, to stand out from the noise
_LONG_BYTES = (1500, 32_000)
_HASTE_S = 0.05
_SHARE = 0.25  # of the uplink's time is left to probes at most
_BESIDE_TRAFFIC, _IDLE = 4, 16  # so many times rarer are probes
_BETTER = 100  # that much better a link may become at once


class Probing:
    """What is known of the probes so far; without traffic one goes out each ``interval_s``.

    They are rarer beside traffic, which tells of the link itself, and where even a much better link
    would not be used. Some follow each other in haste when the link must have changed. While the
    breaker is open, one goes out at each of its intervals. Neither the allowance nor a share of the
    uplink's time is exceeded.
    """

    __slots__ = (
        *("_allowance", "_breaker", "_hasty", "_interval_s", "_last_s", "_last_sample_s"),
        *("_last_bits", "_long_next", "_rest"),
    )

    def __init__(self, interval_s: float, breaker: Breaker, allowance: Allowance) -> None:
        self._interval_s, self._breaker, self._allowance = interval_s, breaker, allowance
        self._last_s = self._last_sample_s = -math.inf
        self._last_bits = 0
        self._long_next = False
        self._hasty = 0
        self._rest = 1

    def sample_sent(self, now_s: float) -> None:
        """Take in that a sample goes out, which tells of the link as a long probe does."""
        self._last_sample_s = now_s

    def hurry(self, count: int) -> None:
        """Let so many probes follow each other in haste."""
        self._hasty = max(self._hasty, count)

    def suit(self, plan: Plan, conditions: Conditions, best: Callable[[Conditions], Plan]) -> None:
        """Let probes be as rare as a plan allows; ``best`` says which one is under others."""
        if plan.level:
            self._rest = _BESIDE_TRAFFIC
        else:
            self._rest = 1 if best(_much_better(conditions)).level else _IDLE

    def next_s(self, now_s: float, unheard: AwaitedMessage | None, bandwidth_bps: float) -> float:
        """Return when the next probe is due, if nothing is heard until then.

        None is while an answer is overdue, which will tell as much when it comes: that to the first
        message of which nothing was heard.
        """
        if self._allowance.left_bytes < FRAME_OVERHEAD_BYTES:
            return math.inf
        if not self._breaker.closed:
            return self._breaker.next_probe_s
        if unheard is not None and now_s > unheard.expected_s:
            return max(self._last_s, unheard.at_s) + LOST_S
        pause_s = _HASTE_S if self._hasty else self._interval_s * self._rest
        return self._last_s + max(pause_s, self._last_bits / bandwidth_bps / _SHARE)

    def take(self, now_s: float, bandwidth_bps: float | None) -> int | None:
        """Return the padding of the probe that goes out now: none beside traffic.

        None if the breaker lets none out.
        """
        if not (self._breaker.closed or self._breaker.may_probe(now_s)):
            return None
        self._last_s = now_s
        self._hasty = max(self._hasty - 1, 0)
        busy = now_s - self._last_sample_s < self._interval_s
        padding_bytes = 0 if busy and not self._hasty else self.take_next(bandwidth_bps)
        padding_bytes = int(min(padding_bytes, self._allowance.left_bytes - FRAME_OVERHEAD_BYTES))
        self._last_bits = 8 * (padding_bytes + FRAME_OVERHEAD_BYTES)
        return padding_bytes

    def take_next(self, bandwidth_bps: float | None) -> int:
        """Return the padding of the next probe of a row: short and long in turn.

        All are short while there is no ``bandwidth_bps`` to count on.
        """
        self._long_next = not self._long_next and bandwidth_bps is not None
        if not self._long_next or bandwidth_bps is None:
            return 0
        return int(min(max(_LONG_S * bandwidth_bps / 8, _LONG_BYTES[0]), _LONG_BYTES[1]))


def _much_better(conditions: Conditions) -> Conditions:
    return replace(
        conditions.certain(),
        bandwidth_bps=_BETTER * conditions.bandwidth_bps,
        rtt_s=conditions.rtt_s / _BETTER,
        queue_s=0.0,
        server_stretch=1.0,
        reachable=True,
    )

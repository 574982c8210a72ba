"""The uplink: what goes out, when it is likely to be answered, and what answers tell of it."""

from __future__ import annotations

import math
from typing import NamedTuple

from device.allowance import Allowance
from device.awaited import Awaited, AwaitedMessage
from device.estimator import LinkEstimator
from partitioner.costs import FRAME_OVERHEAD_BYTES
from partitioner.plan import Plan

__all__ = ["Expected", "Passage", "Uplink"]


class Expected(NamedTuple):
    """How long an answer is likely to take, with caution, and at most, unless the link has changed.

    With caution is with a link as slow as may well be; at most is twice that. Both have three
    standard deviations of the round trip besides.
    """

    likely_s: float
    cautious_s: float
    latest_s: float


class Passage(NamedTuple):
    """How long ``bits`` took over the link; see `LinkEstimator.observe`."""

    bits: float
    elapsed_s: float
    trips: int


class Uplink:
    """Notes each message with those who ask for it: estimator, awaited messages, allowance.

    ``server_s`` is how long a message is at the server, and sizes are without what goes around it.
    """

    __slots__ = ("_allowance", "_awaited", "_came_back_s", "_estimator", "_left_s")

    def __init__(self, estimator: LinkEstimator, awaited: Awaited, allowance: Allowance) -> None:
        self._estimator, self._awaited, self._allowance = estimator, awaited, allowance
        self._left_s = self._came_back_s = -math.inf  # of the last message that was answered

    def expect(self, now_s: float, size_bytes: int, server_s: float) -> Expected:
        """Return how long an answer is going to take to a message that goes out now."""
        link = self._estimator.estimate(now_s)
        bits = self._estimator.before_bits(now_s) + _bits(size_bytes)
        likely_s = link.rtt_s + bits / link.bandwidth_bps + server_s
        cautious_s = link.rtt_s + bits / link.cautious_bps + server_s
        jitter_s = 3 * link.rtt_sigma_s
        return Expected(likely_s, cautious_s + jitter_s, 2 * cautious_s + jitter_s)

    def send(
        self, now_s: float, message: int, size_bytes: int, server_s: float, plan: Plan | None
    ) -> None:
        """Take in that a message goes out, behind those that are still on their way."""
        size_bits = _bits(size_bytes)
        bits = self._estimator.sent(now_s, size_bits // 8) + size_bits
        self._allowance.spend(size_bits / 8)
        link = self._estimator.estimate(now_s)
        expected_s = now_s + link.rtt_s + bits / link.bandwidth_bps + server_s
        sent = AwaitedMessage(now_s, size_bits, bits, server_s, expected_s, plan)
        self._awaited.add(message, sent)

    def answered(self, now_s: float, sent: AwaitedMessage, server_s: float) -> Passage:
        """Return what an answer tells of the link: the server had the message for ``server_s``.

        What had to wait until the one before it had left the uplink tells of its own bits alone. It
        is not known when that was unless that one has been answered; then by what was believed.
        """
        back_s = now_s - server_s
        in_order = self._left_s <= sent.at_s and not self._awaited.has_by(sent.at_s)
        queued_until_s = self._came_back_s - self._estimator.estimate(now_s).rtt_s
        last_s = self._came_back_s
        if self._left_s <= sent.at_s:
            self._left_s, self._came_back_s = sent.at_s, max(back_s, last_s)
        if not in_order:
            return Passage(sent.bits, back_s - sent.at_s, 1)
        if queued_until_s > sent.at_s:
            return Passage(sent.size_bits, max(back_s - last_s, 0.0), 0)
        return Passage(sent.size_bits, back_s - sent.at_s, 1)

    def withdraw(self, message: int) -> None:
        """Take in that a message did not go out after all."""
        if sent := self._awaited.pop(message):
            self._estimator.withdrawn(sent.size_bits)
            self._allowance.spend(-sent.size_bits / 8)


def _bits(size_bytes: int) -> int:
    return 8 * (size_bytes + FRAME_OVERHEAD_BYTES)

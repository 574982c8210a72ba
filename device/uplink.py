"""The uplink: what goes out, when it is likely to be answered, and at the latest."""

from __future__ import annotations

from device.allowance import Allowance
from device.awaited import Awaited, AwaitedMessage
from device.estimator import LinkEstimator
from partitioner.costs import FRAME_OVERHEAD_BYTES
from partitioner.plan import Plan

__all__ = ["Uplink"]


class Uplink:
    """Notes each message with those who ask for it: estimator, awaited messages, allowance.

    ``server_s`` is how long a message is at the server, and sizes are without what goes around it.
    """

    __slots__ = ("_allowance", "_awaited", "_estimator")

    def __init__(self, estimator: LinkEstimator, awaited: Awaited, allowance: Allowance) -> None:
        self._estimator, self._awaited, self._allowance = estimator, awaited, allowance

    def likely_s(self, now_s: float, size_bytes: int, server_s: float) -> float:
        """Return how long an answer is likely to take to a message that need not wait."""
        link = self._estimator.estimate(now_s)
        return link.rtt_s + _bits(size_bytes) / link.bandwidth_bps + server_s

    def latest_s(self, now_s: float, size_bytes: int, server_s: float) -> float:
        """Return how long an answer is expected to take, at most.

        Twice the cautious estimate, and three standard deviations of the round trip: beyond that
        the link has changed.
        """
        link = self._estimator.estimate(now_s)
        away_s = link.rtt_s + _bits(size_bytes) / link.cautious_bps + server_s
        return 2 * away_s + 3 * link.rtt_sigma_s

    def send(
        self, now_s: float, message: int, size_bytes: int, server_s: float, plan: Plan | None
    ) -> None:
        """Take in that a message goes out, behind those that are still on their way."""
        size_bits = _bits(size_bytes)
        bits = self._estimator.sent(now_s, size_bits // 8) + size_bits
        self._allowance.spend(size_bits / 8)
        link = self._estimator.estimate(now_s)
        expected_s = now_s + link.rtt_s + bits / link.bandwidth_bps + server_s
        self._awaited.add(message, AwaitedMessage(now_s, size_bits, bits, expected_s, plan))

    def withdraw(self, message: int) -> None:
        """Take in that a message did not go out after all."""
        if sent := self._awaited.pop(message):
            self._estimator.withdrawn(sent.size_bits)
            self._allowance.spend(-sent.size_bits / 8)


def _bits(size_bytes: int) -> int:
    return 8 * (size_bytes + FRAME_OVERHEAD_BYTES)

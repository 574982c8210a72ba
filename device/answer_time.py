"""Answer times: how long it takes until a message is answered, as far as the link is known."""

from __future__ import annotations

from device.estimator import LinkEstimate
from partitioner.costs import FRAME_OVERHEAD_BYTES

__all__ = ["latest_s", "likely_s", "message_bits"]


def message_bits(size_bytes: int) -> int:
    """Return the bits that a message takes on the uplink, with all that goes around it."""
    return 8 * (size_bytes + FRAME_OVERHEAD_BYTES)


def likely_s(link: LinkEstimate, bits: float, server_s: float) -> float:
    """Return how long an answer is likely to take that the server takes ``server_s`` for."""
    return link.rtt_s + bits / link.bandwidth_bps + server_s


def latest_s(link: LinkEstimate, bits: float, server_s: float) -> float:
    """Return how long an answer is expected to take, at most.

    Twice the cautious estimate, and three standard deviations of the round trip: beyond that the
    link has changed.
    """
    return 2 * (link.rtt_s + bits / link.cautious_bps + server_s) + 3 * link.rtt_sigma_s

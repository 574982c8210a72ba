"""Doubt: how likely a link is too slow for what is sent, where it is not known for certain.

Seconds per bit and round trip are believed with standard deviations, and move together: a link
that is z of them slower takes ``r + z sigma_r`` and ``x + z sigma_x``, with z normally distributed.
Neither falls below a quarter of what is believed: far in doubt, a normal distribution has times
below 0 as well, and what was so slow of late is not counted on to be of no time.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partitioner.conditions import Conditions

__all__ = ["LEAST_SHARE", "chance_late", "is_in_doubt"]

Floats = NDArray[np.float64]

LEAST_SHARE = 0.25
"""Round trip and time per bit are at least this share of what is believed of them."""

_SURE = 1e-9  # a doubt of so small a share, or of so few seconds, is none
_FAR = 6.0
_SIGMAS = np.linspace(-_FAR, _FAR, 1201)
_BEYOND = np.array([NormalDist().cdf(-sigmas) for sigmas in _SIGMAS.tolist()])
_BEYOND[[0, -1]] = 1.0, 0.0  # what is so far out is certain; between, lines are exact to 3e-6


def is_in_doubt(now: Conditions) -> bool:
    """Tell whether link or round trip are not known for certain."""
    return any(_sigmas(now))


def _sigmas(now: Conditions) -> tuple[float, float]:
    """Return the deviations of seconds per bit and round trip, 0 where there is next to none."""
    sigma_x, sigma_r = now.s_per_bit_sigma, now.rtt_sigma_s
    return sigma_x * (sigma_x * now.bandwidth_bps > _SURE), sigma_r * (sigma_r > _SURE)


def chance_late(bits: Any, left_s: Any, now: Conditions) -> Floats:
    """Return how likely messages of so many bits take longer than what is left, one for each.

    ``left_s`` is for uplink and round trip alone, and the link is in doubt. Exact: round trip and
    time per bit are the larger of two each, so their sum is the largest of four lines in z, and
    late once z is beyond the first that crosses what is left.
    """
    x, r = 1 / now.bandwidth_bps, now.rtt_s
    sigma_x, sigma_r = _sigmas(now)
    least_x = LEAST_SHARE * x if sigma_x else x
    least_r = LEAST_SHARE * r if sigma_r else r
    sigmas = (left_s - r - bits * x) / (sigma_r + bits * sigma_x)
    if sigma_r:
        sigmas = np.minimum(sigmas, (left_s - r - bits * least_x) / sigma_r)
    if sigma_x:
        sigmas = np.minimum(sigmas, (left_s - least_r - bits * x) / (bits * sigma_x))
    late = np.interp(sigmas, _SIGMAS, _BEYOND)
    return np.where(left_s < least_r + bits * least_x, 1.0, late)

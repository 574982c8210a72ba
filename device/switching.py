"""Switching: whether a plan is better than the one in force by more than can be doubted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from partitioner.conditions import Conditions
from partitioner.planner import Standing

__all__ = ["Outlook", "is_better"]

Outlook = Callable[[Conditions], Standing | None]
"""How a plan does under conditions."""


def is_better(old: Outlook, new: Outlook, conditions: Conditions, sigmas: float) -> bool:
    """Tell whether the gain exceeds so many of its standard deviations.

    In doubt are bandwidth and round trip, as far as the conditions say. An old plan that does not
    meet the objective is given up for any other.
    """
    slower_bps = 1 / (1 / conditions.bandwidth_bps + conditions.s_per_bit_sigma)
    doubts = (
        conditions,
        replace(conditions, bandwidth_bps=slower_bps),
        replace(conditions, rtt_s=conditions.rtt_s + conditions.rtt_sigma_s),
    )
    gains = []
    for doubt in doubts:
        before, after = old(doubt), new(doubt)
        if before is None or after is None or not before.meets:
            return True
        gains.append(before.target - after.target)
    gain, slower, longer = gains
    return gain > sigmas * math.hypot(slower - gain, longer - gain)

"""Device costs by a profile: the times that the planner counts, for those who choose thresholds."""

from __future__ import annotations

import numpy as np

from offramp.guarantee.device_costs import DeviceCosts, Place
from partitioner.profile import Profile

__all__ = ["device_costs"]


def device_costs(profile: Profile) -> DeviceCosts:
    """Return the median times of a device's heads, exits and encoding."""
    encode: dict[Place, float] = {}
    for key, timing in profile.encode.items():
        cut, _, level = key.partition("/")
        encode[int(cut), level] = timing.median_s
    return DeviceCosts(
        unit="s",
        # Measurements waver, but no head is faster than a shorter one.
        head=np.maximum.accumulate([timing.median_s for timing in profile.head]),
        exits=np.array([timing.median_s for timing in profile.exits], dtype=np.float64),
        encode=encode,
        machine=f"{profile.machine.processor}, {profile.machine.cores} cores"
        + (f", slowed {profile.slowdown:g} times" if profile.slowdown != 1 else ""),
    )

"""Heed: how much what a server tells of its load counts for a device.

Devices alike that hear the same would all leave a busy server at once, and all come back to an
idle one. So each has a factor of its own: as waits grow devices leave one by one, until those that
stay have room.
"""

from __future__ import annotations

from random import Random

__all__ = ["draw_heed"]


def draw_heed(spread: float, dice: Random) -> float:
    """Return a factor between 1 / ``spread`` and ``spread``, as likely above 1 as below."""
    return float(spread ** dice.uniform(-1.0, 1.0))

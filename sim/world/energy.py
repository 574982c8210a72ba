"""Energy: what a run's requests add to boards that are on anyway, from the seconds it counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from partitioner.power import Power

__all__ = ["energy_j"]


def energy_j(figures: Mapping[str, Any], power: Power, period_s: float) -> float:
    """Return the joules of requests (`sim.world.tally.Tally.summary`) on boards of one kind.

    ``period_s`` is the mean time between a device's requests: the radio stays up no longer than
    until the next. Samples that are in flight at once count the radio's waiting twice.
    """
    waiting_s = max(figures["waiting_s"] - figures["sending_s"], 0.0)  # sending is part of it
    device_s, sending_s, sends = (float(figures[k]) for k in ("device_s", "sending_s", "sent"))
    drawn: float = power.every(period_s).sample_j(device_s, sending_s, waiting_s, sends)
    return drawn

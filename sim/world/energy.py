"""Energy: what a run's requests add to boards that are on anyway, from the seconds it counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from partitioner.power import Power

__all__ = ["energy_j"]


def energy_j(figures: Mapping[str, Any], power: Power, period_s: float) -> float:
    """Return the joules of requests (`sim.world.tally.Tally.summary`) on boards of one kind.

    Probes are part of them. ``period_s`` is the mean time between a device's requests: behind a
    message, sample or probe, the radio stays up no longer than until the next one, as if all came
    evenly. Samples that are in flight at once count the radio's waiting twice.
    """
    device_s, sending_s = float(figures["device_s"]), float(figures["sending_s"])
    in_flight_s = figures["waiting_s"] + figures["probe_waiting_s"]
    waiting_s = max(in_flight_s - sending_s, 0.0)  # sending is part of it
    messages = figures["sent"] + figures["probes"]
    lasted_s = period_s * figures["requests"]
    return float(power.sample_j(device_s, sending_s, waiting_s, float(messages), every_s=lasted_s))

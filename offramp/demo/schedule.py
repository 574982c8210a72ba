"""The schedule: what the demo's link is like, and when. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Phase", "build_schedule", "to_link", "to_line"]


@dataclass(frozen=True)
class Phase:
    """What the link is like from a time on; ``bandwidth_bps`` 0 delivers nothing."""

    name: str
    start_s: float
    seconds: float
    bandwidth_bps: float
    delay_s: float


_WIFI = (40e6, 0.001)  # to an edge box in the same building: a median round trip of 2 ms (MECPerf)
_BAD_LTE = (0.8e6, 0.040)  # a phone at the edge of its cell
_NOTHING = (0.0, 0.0)

_SHARES = (
    ("good", 0.30, _WIFI),
    ("poor", 0.30, _BAD_LTE),
    ("outage", 0.15, _NOTHING),
    ("back", 0.25, _WIFI),
)


def build_schedule(duration_s: float) -> tuple[Phase, ...]:
    """Return the phases of a run of that duration: good, poor, outage, back."""
    phases: list[Phase] = []
    start_s = 0.0
    for name, share, (bandwidth_bps, delay_s) in _SHARES:
        seconds = round(share * duration_s, 3)
        phases.append(Phase(name, round(start_s, 3), seconds, bandwidth_bps, delay_s))
        start_s += seconds
    return tuple(phases)


def to_link(phases: Sequence[Phase], seed: int) -> dict[str, Any]:
    """Return the description of the link that ``offramp shape --link`` takes."""
    return {
        "seed": seed,
        "phases": [
            {"name": phase.name, "seconds": phase.seconds, "up": _chain(phase)} for phase in phases
        ],
    }


def to_line(phases: Sequence[Phase], lead_s: float) -> dict[str, Any]:
    """Return the line of kind ``phases`` that tells what the link truly was, in the run's time.

    The link's time began ``lead_s`` before the run's.
    """
    return {
        "kind": "phases",
        "phases": [
            {
                "name": phase.name,
                "start_s": round(max(phase.start_s - lead_s, 0.0), 3),
                "bandwidth_bps": phase.bandwidth_bps,
                "delay_s": phase.delay_s,
            }
            for phase in phases
        ],
    }


def _chain(phase: Phase) -> list[dict[str, Any]]:
    if phase.bandwidth_bps == 0:
        return [{"kind": "outage"}]
    return [
        {"kind": "rate", "bps": phase.bandwidth_bps},
        {"kind": "delay", "seconds": phase.delay_s},
    ]

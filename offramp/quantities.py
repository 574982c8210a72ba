"""Quantities as people read them: three significant digits with a fit unit, never an exponent."""

from __future__ import annotations

import math
from decimal import Decimal

__all__ = [
    "figure",
    "say_bandwidth",
    "say_bytes",
    "say_energy",
    "say_time",
]

_Units = tuple[tuple[float, str], ...]

_TIMES: _Units = ((1e-3, "ms"), (1.0, "s"))
_BANDWIDTHS: _Units = ((1e3, "kbit/s"), (1e6, "Mbit/s"), (1e9, "Gbit/s"))
_SIZES: _Units = ((1.0, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"))
_ENERGIES: _Units = ((1e-3, "mJ"), (1.0, "J"))

_ROUNDS_UP = 999.5
_LEAST = 1e-6


def figure(amount: float) -> str:
    """Return a number with three significant digits; one from 1000 on is whole.

    Of one that is next to nothing it says so: its zeros would fill lines.
    """
    if 0 < amount < _LEAST:
        return "<0.000001"
    if not math.isfinite(amount) or abs(amount) >= _ROUNDS_UP:
        return f"{amount:.0f}"
    return f"{Decimal(f'{amount:.3g}'):f}"


def say_time(time_s: float) -> str:
    """Return seconds with their unit, ms or s."""
    return _say(time_s, _TIMES)


def say_bandwidth(bandwidth_bps: float) -> str:
    """Return bits per second with their unit, from kbit/s to Gbit/s."""
    return _say(bandwidth_bps, _BANDWIDTHS)


def say_bytes(size_bytes: float) -> str:
    """Return bytes with their unit, from B to GB; 1 kB is 1000 B."""
    return _say(size_bytes, _SIZES)


def say_energy(energy_j: float) -> str:
    """Return joules with their unit, mJ or J."""
    return _say(energy_j, _ENERGIES)


def _say(amount: float, units: _Units) -> str:
    """Return an amount in the first unit in which it is shown below 1000, else the last."""
    scale, unit = next((each for each in units if abs(amount) / each[0] < _ROUNDS_UP), units[-1])
    return f"{figure(amount / scale)} {unit}"

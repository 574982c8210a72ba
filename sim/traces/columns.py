"""Traces of two columns: a time in seconds, and the rate in Mbit/s from then on."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from math import isfinite
from pathlib import Path

from offramp.errors import ConfigError
from sim.rates.trace import RateTrace
from sim.traces.lines import Row, bad_row

__all__ = ["columns_trace"]

_BYTES_PER_MBIT = 1e6 / 8
_LIMIT = 1e9


def columns_trace(path: Path, rows: Iterable[Row]) -> RateTrace:
    """The trace counted from its first row.

    The last row lasts as long as the one before it, or a second if it is the only one; then the
    trace repeats.
    """
    times_s, mbps = _columns(path, rows)
    if max(mbps) == 0:
        raise ConfigError(f"trace {path} is all zero: give it a rate above 0, or use an outage")
    last_s = times_s[-1] - times_s[-2] if len(times_s) > 1 else 1.0
    knots_s = [time_s - times_s[0] for time_s in [*times_s, times_s[-1] + last_s]]
    served = accumulate(
        (
            rate * _BYTES_PER_MBIT * (end_s - start_s)
            for rate, start_s, end_s in zip(mbps, knots_s, knots_s[1:], strict=False)
        ),
        initial=0.0,
    )
    return RateTrace(knots_s, served)


def _columns(path: Path, rows: Iterable[Row]) -> tuple[list[float], list[float]]:
    times_s: list[float] = []
    mbps: list[float] = []
    for row in rows:
        try:
            time_s, rate = (float(field) for field in row[1])
        except ValueError:
            raise bad_row(path, row, "is not two numbers, seconds and Mbit/s: correct it") from None
        if not (isfinite(time_s) and 0 <= time_s <= _LIMIT and 0 <= rate <= _LIMIT):
            raise bad_row(path, row, f"must hold numbers from 0 to {_LIMIT:g}: correct the line")
        if times_s and time_s <= times_s[-1]:
            raise bad_row(path, row, f"does not come after {times_s[-1]:g} s: sort the trace")
        times_s.append(time_s)
        mbps.append(rate)
    return times_s, mbps

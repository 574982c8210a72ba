"""Traces of two columns: a time in seconds, and the rate from then on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate, chain
from math import isfinite
from pathlib import Path

from offramp.errors import ConfigError
from sim.rates.trace import RateTrace
from sim.traces.lines import Row, bad_row

__all__ = ["columns_trace", "steps_trace"]

_BYTES_PER_MBIT = 1e6 / 8
_BITS_PER_UNIT = {"mbps": 1e6, "kbps": 1e3, "bps": 1.0, "bytes_per_second": 8.0}
_TIMES = ("seconds", "second", "time_s", "t")
_LIMIT = 1e9


def columns_trace(path: Path, rows: Iterable[Row]) -> RateTrace:
    """The trace counted from its first row; a header may name the rate's unit, Mbit/s by default.

    The last row lasts as long as the one before it, or a second if it is the only one; then the
    trace repeats.
    """
    given = iter(rows)
    first = next(given)
    if any(field[:1].isalpha() and not _is_number(field) for field in first[1]):
        return _steps(path, given, _unit(path, first))
    return _steps(path, chain([first], given), 1.0)


def steps_trace(path: Path, times_s: list[float], mbps: list[float]) -> RateTrace:
    """The trace of rates that hold until the next time; raise `ConfigError` if all are zero."""
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


def _steps(path: Path, rows: Iterable[Row], mbps_per_unit: float) -> RateTrace:
    pairs = list(_checked(path, rows))
    if not pairs:
        raise ConfigError(f"trace {path} has a header and no rows: give it a rate")
    return steps_trace(path, [time for time, _ in pairs], [mbps_per_unit * r for _, r in pairs])


def _checked(path: Path, rows: Iterable[Row]) -> Iterator[tuple[float, float]]:
    last_s = None
    for row in rows:
        try:
            time_s, rate = (float(field) for field in row[1])
        except ValueError:
            raise bad_row(path, row, "is not two numbers, seconds and Mbit/s: correct it") from None
        if not (isfinite(time_s) and 0 <= time_s <= _LIMIT and 0 <= rate <= _LIMIT):
            raise bad_row(path, row, f"must hold numbers from 0 to {_LIMIT:g}: correct the line")
        if last_s is not None and time_s <= last_s:
            raise bad_row(path, row, f"does not come after {last_s:g} s: sort the trace")
        last_s = time_s
        yield time_s, rate


def _unit(path: Path, header: Row) -> float:
    """Return the Mbit/s that one unit of the second column is."""
    time, rate = (field.lower() for field in header[1])
    if time not in _TIMES or rate not in _BITS_PER_UNIT:
        raise bad_row(
            path,
            header,
            f"is no header of a trace: name the columns {_TIMES[0]} and one of "
            + ", ".join(_BITS_PER_UNIT),
        )
    return _BITS_PER_UNIT[rate] / 1e6


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True

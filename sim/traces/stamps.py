"""Recorded times of requests: the first column of a text file, one request per line."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path

from offramp.errors import ConfigError
from sim.traces.lines import Row, bad_row, quoted, read_text

__all__ = ["read_stamps"]

_EPOCH = datetime.fromtimestamp(0, UTC)
_LIMIT_S = 1e12
_TIMES = ("seconds", "second", "time_s", "t", "time", "timestamp", "at_s")


def read_stamps(path: Path) -> array[float]:
    """The times in seconds since the first of them, never falling: at least two, not all the same.

    A time is a number of seconds, or a date with a time of day (ISO 8601), which is read to the
    microsecond. Further columns, parted by commas, are left out, and so is a header. Raises
    `ConfigError` that names the line.
    """
    stamps_s = array("d", _checked(path, _rows(path, read_text(path))))
    if not stamps_s:
        raise ConfigError(f"trace {path} is empty: give a file with the time of a request per line")
    if stamps_s[-1] == stamps_s[0]:
        raise ConfigError(f"trace {path} lasts 0 s: give at least two requests at different times")
    return array("d", (stamp_s - stamps_s[0] for stamp_s in stamps_s))


def _rows(path: Path, text: str) -> Iterator[Row]:
    """Every row's first field, but for a header's; comments and blank lines are skipped."""
    header_may_come = True
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split(",")]
        if not (header_may_come and fields[0][:1].isalpha() and _seconds(fields[0]) is None):
            yield Row(number, fields[:1], line)
        elif not _is_time(fields[0]) and any(map(_is_time, fields[1:])):
            raise bad_row(
                path, Row(number, fields, line), "must name the time first: reorder the columns"
            )
        header_may_come = False


def _is_time(name: str) -> bool:
    return name.lower() in _TIMES


def _checked(path: Path, rows: Iterator[Row]) -> Iterator[float]:
    last_s = 0.0
    for row in rows:
        stamp_s = _seconds(row.fields[0])
        if stamp_s is None:
            raise bad_row(
                path,
                row,
                f"has the time {quoted(row.fields[0])}: give seconds, or a date and a time",
            )
        if not (isfinite(stamp_s) and 0 <= stamp_s <= _LIMIT_S):
            raise bad_row(
                path, row, f"has the time {quoted(row.fields[0])}: give 0 to {_LIMIT_S:.0f} seconds"
            )
        if stamp_s < last_s:
            raise bad_row(path, row, "comes before the line above it: sort the trace")
        last_s = stamp_s
        yield stamp_s


def _seconds(field: str) -> float | None:
    """The seconds that a number says, or since 1970 those of a date; None if it is neither."""
    try:
        return float(field)
    except ValueError:
        pass
    try:
        stamp = datetime.fromisoformat(field)
    except ValueError:
        return None
    aware = stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)
    return (aware - _EPOCH).total_seconds()

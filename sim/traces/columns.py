"""Traces of columns: a time in seconds, and the rate from then on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate, chain, pairwise
from math import inf
from pathlib import Path

from offramp.errors import ConfigError
from sim.rates.source import CRUMB_BYTES
from sim.rates.trace import RateTrace
from sim.traces.archives import archive_of
from sim.traces.lines import Row, bad_row, quoted

__all__ = ["columns_trace", "refuse_hidden_header"]

_BYTES_PER_MBIT = 1e6 / 8
_MBPS_PER_UNIT = {"mbps": 1.0, "kbps": 1e-3, "bps": 1e-6, "bytes_per_second": 8e-6}
_TIMES = ("seconds", "second", "time_s", "t", "seq_num")
_LATEST_S = 1e9
_FASTEST_MBPS = 1e5


@dataclass(frozen=True)
class _Layout:
    """How many columns there are, which hold the time and the rate, and what the rate counts."""

    columns: int
    time_at: int
    rate_at: int
    mbps_per_unit: float


def columns_trace(path: Path, rows: Iterable[Row], rate: str | None = None) -> RateTrace:
    """The trace counted from its first row; a header may name the rate's unit, Mbit/s by default.

    `rate` says which of a header's columns is the rate, or the unit where there is no header. Of
    rows with the same time the last holds. The last row lasts as long as the one before it, or a
    second if it is the only one; then the trace repeats.
    """
    given = iter(rows)
    first = next(given)
    if any(field[:1].isalpha() and not _is_number(field) for field in first.fields):
        return _steps(path, given, _layout(path, first, rate))
    if len(first.fields) != 2:
        raise ConfigError(
            f"trace {path}, line {first.number}: {len(first.fields)} columns and no header, where "
            "a mahimahi trace has one (milliseconds) and a rate trace two (seconds and Mbit/s)"
        )
    unit = "mbps" if rate is None else rate.lower()
    if unit not in _MBPS_PER_UNIT:
        raise ConfigError(
            f"trace {path} has no header that names a column {rate!r}: "
            f"name its unit, one of {', '.join(_MBPS_PER_UNIT)}"
        )
    return _steps(path, chain([first], given), _Layout(2, 0, 1, _MBPS_PER_UNIT[unit]))


def refuse_hidden_header(path: Path, text: str, first: int) -> None:
    """Refuse a header that is a comment above the ``first`` row: its unit would be left out."""
    for number, line in enumerate(text.splitlines()[: first - 1], start=1):
        names = line.lstrip("# ").replace(",", " ").lower().split()
        if len(names) > 1 and names[0] in _TIMES and any(map(_unit, names[1:])):
            raise bad_row(path, Row(number, names, line), "is a header and a comment: remove the #")


def _steps(path: Path, rows: Iterable[Row], layout: _Layout) -> RateTrace:
    """The trace of rates that hold until the next time."""
    pairs = list(_checked(path, rows, layout))
    if not pairs:
        raise ConfigError(f"trace {path} has a header and no rows: give it a rate")
    pairs = [one for one, after in pairwise(pairs) if one[0] < after[0]] + pairs[-1:]
    times_s = [time_s - pairs[0][0] for time_s, _ in pairs]
    times_s.append(2 * times_s[-1] - times_s[-2] if len(times_s) > 1 else 1.0)
    served = list(
        accumulate(
            (
                mbps * _BYTES_PER_MBIT * (end_s - start_s)
                for (_, mbps), (start_s, end_s) in zip(pairs, pairwise(times_s), strict=True)
            ),
            initial=0.0,
        )
    )
    if served[-1] < CRUMB_BYTES:
        raise ConfigError(f"trace {path} is all zero: give it a rate above 0, or use an outage")
    return RateTrace(times_s, served)


def _checked(path: Path, rows: Iterable[Row], layout: _Layout) -> Iterator[tuple[float, float]]:
    last_s = 0.0
    for row in rows:
        time_s, mbps = _numbers(path, row, layout)
        if not 0 <= time_s <= _LATEST_S:  # nor is nan
            time = quoted(row.fields[layout.time_at])
            raise bad_row(path, row, f"has the time {time}: give 0 to {_LATEST_S:.0f} seconds")
        if not 0 <= mbps < inf:
            rate = quoted(row.fields[layout.rate_at])
            raise bad_row(path, row, f"has the rate {rate}: give a finite one, 0 or more")
        if mbps > _FASTEST_MBPS:
            raise bad_row(
                path,
                row,
                f"is above {_FASTEST_MBPS:.0f} Mbit/s: name the unit in a header, as docs/links.md "
                "says",
            )
        if time_s < last_s:
            raise bad_row(path, row, f"comes before {_plain(last_s)} s: sort the trace")
        last_s = time_s
        yield time_s, mbps


def _numbers(path: Path, row: Row, layout: _Layout) -> tuple[float, float]:
    """The time in seconds and the rate in Mbit/s that a row holds."""
    fields = row.fields
    if len(fields) != layout.columns:
        due = f"{layout.columns} columns are due"
        raise bad_row(path, row, f"has {len(fields)}, where {due}: correct it")
    for name, at in (("time", layout.time_at), ("rate", layout.rate_at)):
        if not _is_number(fields[at]):
            raise bad_row(path, row, f"has the {name} {quoted(fields[at])}: give a number")
    return float(fields[layout.time_at]), float(fields[layout.rate_at]) * layout.mbps_per_unit


def _layout(path: Path, header: Row, rate: str | None) -> _Layout:
    """What a header says, in which exactly one column may be the time and one the rate."""
    names = [field.lower() for field in header.fields]
    times = [at for at, name in enumerate(names) if name in _TIMES]
    rates = [at for at, name in enumerate(names) if _unit(name)]
    chosen = [at for at in rates if rate is None or names[at] == rate.lower()]
    if not times or not rates:
        raise bad_row(
            path,
            header,
            f"is no header of a trace: name the columns {_TIMES[0]} and one of "
            + ", ".join(_MBPS_PER_UNIT),
        )
    if len(times) > 1:
        raise bad_row(path, header, f"has {len(times)} times: keep {_one_of(header.fields, times)}")
    if len(chosen) != 1:
        keep = "choose FILE.zip/NAME/COLUMN with" if archive_of(path) else "keep"
        raise bad_row(
            path, header, f"has {len(rates)} rates: {keep} {_one_of(header.fields, rates)}"
        )
    if (name := header.fields[chosen[0]]).endswith("Bps"):
        raise bad_row(
            path, header, f"counts bytes in {name!r}, or bits: name it bytes_per_second or mbps"
        )
    unit = _unit(names[chosen[0]])
    return _Layout(len(names), times[0], chosen[0], _MBPS_PER_UNIT[unit])


def _one_of(names: Sequence[str], places: Sequence[int]) -> str:
    return "one of " + ", ".join(names[at] for at in places)


def _unit(name: str) -> str:
    """The unit that a column's name is, or ends with after a `_`; empty if it has none."""
    return next((unit for unit in _MBPS_PER_UNIT if f"_{name}".endswith(f"_{unit}")), "")


def _plain(number: float) -> str:
    """A number as it may stand in a file, to its last digit and without an exponent."""
    return f"{Decimal(repr(number)):f}".removesuffix(".0")


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True

"""Packet traces of mahimahi: one line for each opportunity to deliver 1500 bytes.

A line holds the opportunity's time in whole milliseconds. The trace repeats at its last time.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from offramp.errors import ConfigError
from sim.rates.trace import RateTrace
from sim.traces.lines import Row, bad_row

__all__ = ["mahimahi_trace"]

_PACKET_BYTES = 1500
_LAST_MS = 10**12


def mahimahi_trace(path: Path, rows: Iterable[Row]) -> RateTrace:
    """The trace with each opportunity spread over the millisecond that ends at its time.

    One at time 0 counts as one at 1 ms, for nothing comes before it.
    """
    stamps_ms = _stamps_ms(path, rows)
    if stamps_ms[-1] == 0:
        raise ConfigError(f"trace {path} lasts 0 ms: its last line must be above 0")
    ends_ms = np.maximum(stamps_ms, 1)
    knots_ms = np.unique(np.concatenate(([0], ends_ms - 1, ends_ms)))
    served = np.searchsorted(ends_ms, knots_ms, side="right") * _PACKET_BYTES
    return RateTrace(knots_ms / 1000, served.astype(float))


def _stamps_ms(path: Path, rows: Iterable[Row]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    stamps_ms = []
    last_ms = 0
    for row in rows:
        text = row.fields[0]
        if len(row.fields) != 1 or not text.isdecimal():
            raise bad_row(path, row, "is not a whole number of milliseconds: correct the line")
        stamp_ms = int(text[:20])
        if stamp_ms > _LAST_MS:
            raise bad_row(path, row, f"is above {_LAST_MS} ms: correct the line")
        if stamp_ms < last_ms:
            raise bad_row(path, row, f"comes before {last_ms}: sort the trace")
        stamps_ms.append(stamp_ms)
        last_ms = stamp_ms
    return np.array(stamps_ms, dtype=np.int64)

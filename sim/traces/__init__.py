"""Recorded rates of real links, read from files."""

from __future__ import annotations

from pathlib import Path

from offramp.errors import ConfigError
from sim.rates.trace import RateTrace
from sim.traces.columns import columns_trace
from sim.traces.lines import numbered_rows, read_text
from sim.traces.mahimahi import mahimahi_trace
from sim.traces.sets import set_of, set_trace

__all__ = ["read_trace"]


def read_trace(path: Path) -> RateTrace:
    """The trace in a file: one column is a mahimahi packet trace, two are seconds and a rate.

    A file compressed with gzip is read as what it holds. ``SET.npz/NAME`` is a trace of a set.
    """
    if set_of(path):
        return set_trace(path)
    text = read_text(path)
    first = next(numbered_rows(text), None)
    if first is None:
        raise ConfigError(f"trace {path} is empty: give a file with one delivery or rate per line")
    number, fields = first
    if len(fields) == 1:
        return mahimahi_trace(path, numbered_rows(text))
    if len(fields) == 2:
        return columns_trace(path, numbered_rows(text))
    raise ConfigError(
        f"trace {path}, line {number}: {len(fields)} columns, where a mahimahi trace has one "
        "(milliseconds) and a rate trace two (seconds and Mbit/s)"
    )

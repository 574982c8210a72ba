"""Recorded rates of real links, read from files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from offramp.errors import ConfigError
from sim.rates.trace import RateTrace
from sim.traces.archives import archive_of, member_text
from sim.traces.columns import columns_trace, refuse_hidden_header
from sim.traces.lines import numbered_rows, read_text
from sim.traces.mahimahi import mahimahi_trace
from sim.traces.sets import set_of, set_trace

__all__ = ["read_trace"]


def read_trace(path: Path) -> RateTrace:
    """The trace in a file: one column is a mahimahi packet trace, more are seconds and a rate.

    A file compressed with gzip is read as what it holds. ``SET.npz/NAME`` is a trace of a set, and
    ``FILE.zip/NAME`` a file in an archive, of which ``FILE.zip/NAME/COLUMN`` chooses a column.
    However many links replay a trace, it is read once, and again only when its file has changed.
    """
    try:
        state = (set_of(path) or archive_of(path) or path).stat()
    except (OSError, ValueError):
        return _read(path)  # which says what is wrong with it
    return _read_once(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _read_once(path: Path, modified_ns: int, size_bytes: int) -> RateTrace:
    return _read(path)


def _read(path: Path) -> RateTrace:
    if set_of(path):
        return set_trace(path)
    text, column = member_text(path) if archive_of(path) else (read_text(path), None)
    first = next(numbered_rows(text), None)
    if first is None:
        raise ConfigError(f"trace {path} is empty: give a file with one delivery or rate per line")
    if len(first.fields) == 1 and column is None:
        return mahimahi_trace(path, numbered_rows(text))
    refuse_hidden_header(path, text, first.number)
    return columns_trace(path, numbered_rows(text), column)

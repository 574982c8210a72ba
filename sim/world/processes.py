"""Running cells in processes: each to its end, whatever becomes of the others."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from multiprocessing import active_children, get_context
from types import FrameType

from offramp.cli import raise_again
from offramp.errors import ConfigError, OfframpError
from offramp.files import write_file, writing_text
from sim.world.cells import Cell
from sim.world.library import Library
from sim.world.rows import RowWriter
from sim.world.run import simulate
from sim.world.scenario import read_scenario
from sim.world.sources import check_unchanged, scenario_sources

__all__ = ["own_library", "run_cells"]

Ended = tuple[Cell, BaseException | None]
"""A cell whose figures are written, or with what it raised."""


def run_cells(cells: Sequence[Cell], jobs: int) -> Generator[Ended]:
    """Run cells in so many processes, and yield each as it ends.

    Whoever closes the iterator early ends those that are under way, of which nothing is kept.
    """
    if jobs == 1 or len(cells) == 1:
        for cell in cells:
            yield cell, _attempt(cell)
        return
    others = set(active_children())
    # A fresh interpreter each: a forked one would copy locks that threads hold.
    with ProcessPoolExecutor(min(jobs, len(cells)), get_context("spawn"), _obey) as pool:
        with _deaf():
            futures = {pool.submit(_run_or_leave, cell): cell for cell in cells}
        try:
            for future in as_completed(futures):
                yield futures[future], _plainly(future.exception())
        except BaseException:
            for future in futures:
                future.cancel()
            for process in set(active_children()) - others:
                process.terminate()
            raise


@cache
def own_library() -> Library:
    """Return the library of this process, for all that it does."""
    return Library()


def _run(cell: Cell) -> None:
    scenario, library = read_scenario(cell.scenario), own_library()
    check_unchanged(cell.sources, scenario_sources(cell.scenario, scenario, library))
    if not cell.rows:
        figures = simulate(scenario, cell.strategy, cell.seed, library)
    else:
        with writing_text(cell.rows_path) as stream:
            rows = RowWriter(stream)
            figures = simulate(scenario, cell.strategy, cell.seed, library, rows.write)
    if not figures["total"]["requests"]:
        warm_up = f"after the {scenario.warm_up_s:g} s of warm_up_s " if scenario.warm_up_s else ""
        raise ConfigError(f"no request came {warm_up}with seed {cell.seed}; let the run be longer")
    write_file(cell.path, json.dumps(figures, indent=1).encode() + b"\n")


def _attempt(cell: Cell) -> Exception | None:
    try:
        _run(cell)
    except Exception as error:
        return error
    return None


def _plainly(error: BaseException | None) -> BaseException | None:
    """Return an error, in words where a process vanished."""
    if isinstance(error, BrokenProcessPool):
        return OfframpError(
            "a process was ended from outside, perhaps for want of memory; try fewer --jobs"
        )
    return error


@contextmanager
def _deaf() -> Iterator[None]:
    """Let the processes that begin meanwhile not hear Ctrl-C: they are ended by this one."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _obey() -> None:
    """Unwind when this process is to end, so that no half-written file is left."""
    sys.unraisablehook = raise_again
    signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _run_or_leave(cell: Cell) -> None:
    try:
        _run(cell)
    except SystemExit:  # the pool would take it for a result and go on with the next cell
        os._exit(128 + signal.SIGTERM)

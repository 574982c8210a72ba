"""Cells: runs of a scenario by strategy and seed, kept as files so that none is made twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from offramp import __version__
from offramp.errors import ConfigError, OfframpError
from offramp.files import read_file, write_file
from partitioner import strategies
from sim.world.library import Library
from sim.world.run import simulate
from sim.world.scenario import Scenario, read_scenario

__all__ = ["Cell", "missing", "read_cell", "run_cells", "scenario_digest"]


@dataclass(frozen=True)
class Cell:
    """One run: a scenario's file under a strategy and seed; its figures lie in ``path``."""

    scenario: Path
    strategy: str
    seed: int
    path: Path

    @classmethod
    def of(cls, scenario: Path, digest: str, strategy: str, seed: int, folder: Path) -> Cell:
        """Return the cell whose file's name tells all that its figures hang on."""
        strategies.get(strategy)
        name = f"{strategy}-{seed}-{digest[:16]}.json"
        return cls(scenario, strategy, seed, folder / name)


def scenario_digest(path: Path) -> str:
    """Return the SHA-256 of all that a scenario's figures hang on besides strategy and seed.

    That is the release, the scenario, and what is in the files that it names.
    """
    scenario, library = read_scenario(path), Library()
    found = hashlib.sha256(f"{__version__}\n{scenario.model_dump_json()}".encode())
    for group in scenario.groups:
        link = group.link.link()
        parts: list[str] = [library.bundle(group.bundle).digest, link.model_dump_json()]
        parts += [library.board(group).model_dump_json()]
        parts += [library.tail_profile(s, group).model_dump_json() for s in scenario.servers]
        found.update("\n".join(parts).encode())
        named = [*_paths(link.model_dump()), *_paths(group.model_dump().get("arrivals"))]
        for file in named:
            found.update(_content(file))
    return found.hexdigest()


def read_cell(cell: Cell) -> dict[str, Any] | None:
    """Return a cell's figures; None if it has none yet, or no whole ones."""
    with suppress(OfframpError, ValueError):
        figures = json.loads(read_file(cell.path))
        if isinstance(figures, dict) and figures.get("strategy") == cell.strategy:
            return figures
    return None


def missing(cells: Iterable[Cell]) -> list[Cell]:
    """Return the cells without figures."""
    return [cell for cell in cells if read_cell(cell) is None]


def run_cells(cells: Sequence[Cell], jobs: int) -> Iterator[Cell]:
    """Run cells in so many processes and yield each when its figures are written.

    Raises what a run raises; those that are under way then are ended first.
    """
    if jobs == 1 or len(cells) == 1:
        for cell in cells:
            _run(cell)
            yield cell
        return
    # A fresh interpreter each: a forked one would copy locks that threads hold.
    with ProcessPoolExecutor(min(jobs, len(cells)), get_context("spawn")) as pool:
        futures = {pool.submit(_run, cell): cell for cell in cells}
        try:
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


_library = cache(Library)


def _run(cell: Cell) -> None:
    scenario: Scenario = read_scenario(cell.scenario)
    figures = simulate(scenario, cell.strategy, cell.seed, _library())
    write_file(cell.path, json.dumps(figures, indent=1).encode() + b"\n")


def _paths(values: Any) -> Iterator[Path]:
    """Yield the files that settings name, wherever they stand in them."""
    if isinstance(values, Path):
        yield values
    elif isinstance(values, dict):
        for value in values.values():
            yield from _paths(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _paths(value)


def _content(path: Path) -> bytes:
    """Return what a file holds, or the archive that it lies in."""
    home = next((one for one in (path, *path.parents) if one.is_file()), None)
    if home is None:
        raise ConfigError(f"{path}: is not there; name a file that is")
    return hashlib.sha256(read_file(home)).digest()

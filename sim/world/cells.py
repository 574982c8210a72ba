"""Cells: runs of a scenario by strategy and seed, kept as files so that none is made twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offramp import __version__
from offramp.errors import ConfigError, OfframpError
from offramp.files import read_file
from partitioner import strategies
from sim.world.library import Library
from sim.world.scenario import Scenario

__all__ = ["Cell", "cell_path", "missing", "read_cell", "scenario_digest"]


@dataclass(frozen=True)
class Cell:
    """One run: a scenario's file under a strategy and seed; its figures lie in ``path``.

    Beside them lie its requests, row by row, if ``rows`` are wanted.
    """

    scenario: Path
    strategy: str
    seed: int
    path: Path
    rows: bool = False

    def __post_init__(self) -> None:
        strategies.get(self.strategy, simulated=True)

    @property
    def rows_path(self) -> Path:
        """Where its requests lie."""
        return self.path.with_suffix(".csv")


def cell_path(folder: Path, digest: str, strategy: str, seed: int) -> Path:
    """Return the path whose name tells all that a run's figures hang on."""
    return folder / f"{strategy}-{seed}-{digest[:16]}.json"


def scenario_digest(scenario: Scenario, library: Library) -> str:
    """Return the SHA-256 of all that a scenario's figures hang on besides strategy and seed.

    That is the release, the scenario, and what is in the files that it names.
    """
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
    """Return the cells without figures, or without the rows that are wanted."""
    return [
        cell
        for cell in cells
        if read_cell(cell) is None or (cell.rows and not cell.rows_path.is_file())
    ]


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

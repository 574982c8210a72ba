"""Cells: runs of a scenario by strategy and seed, kept as files so that none is made twice."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offramp.errors import OfframpError
from offramp.files import read_file
from partitioner import strategies
from sim.world.sources import Source

__all__ = ["Cell", "cell_path", "missing", "read_cell"]


@dataclass(frozen=True)
class Cell:
    """One run: a scenario's file under a strategy and seed; its figures lie in ``path``.

    Beside them lie its requests, row by row, if ``rows`` are wanted. ``sources`` are what the
    scenario was found to hang on, from which it must not have changed when the cell is run.
    """

    scenario: Path
    strategy: str
    seed: int
    path: Path
    rows: bool = False
    sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        strategies.get(self.strategy, simulated=True)

    @property
    def rows_path(self) -> Path:
        """Where its requests lie."""
        return self.path.with_suffix(".csv")


def cell_path(folder: Path, digest: str, strategy: str, seed: int) -> Path:
    """Return the path whose name tells all that a run's figures hang on."""
    return folder / f"{strategy}-{seed}-{digest[:16]}.json"


def read_cell(cell: Cell) -> dict[str, Any] | None:
    """Return a cell's figures; None if it has none yet, or no whole ones."""
    with suppress(OfframpError, ValueError, RecursionError):
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

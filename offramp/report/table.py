"""The table of runs for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from offramp.report.cells import Cell
from offramp.report.metrics import compare
from offramp.report.summary import RunSummary
from offramp.sheet import Column, Sheet

__all__ = ["build_table"]


def build_table(summaries: Sequence[RunSummary]) -> Sheet:
    """Return the table with one column for each run; ``*`` marks the best of a row.

    Runs that find no room go on below.
    """
    rows = compare(summaries)
    titles = Column("", tuple(row.title for row in rows), words=True)
    runs = [
        Column(
            summary.label,
            tuple(_show(row.cells[place]) for row in rows),
            whole=True,
            best=frozenset(at for at, row in enumerate(rows) if row.cells[place].best),
        )
        for place, summary in enumerate(summaries)
    ]
    told = "* is the best of its row" if len(summaries) > 1 else ""
    return Sheet(told, [titles, *runs], goes_on=True)


def _show(cell: Cell) -> str:
    return f"{cell.text}*" if cell.best else f"{cell.text} "

"""The table of runs for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from offramp.report.cells import Cell
from offramp.report.metrics import compare
from offramp.report.summary import RunSummary

__all__ = ["build_table"]


def build_table(summaries: Sequence[RunSummary], title: str = "") -> Table:
    """Return the table with one column for each run; ``*`` marks the best of a row."""
    table = Table(
        title=Text(title) if title else None,
        caption=Text("* best of its row") if len(summaries) > 1 else None,
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        caption_justify="left",
        title_justify="left",
    )
    table.add_column("", no_wrap=True)
    for summary in summaries:
        table.add_column(Text(summary.label), justify="right", overflow="fold")
    for row in compare(summaries):
        table.add_row(Text(row.title), *(_show(cell) for cell in row.cells))
    return table


def _show(cell: Cell) -> Text:
    return Text(f"{cell.text}*", style="bold green") if cell.best else Text(f"{cell.text} ")

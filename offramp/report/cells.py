"""Cells and rows: what every table of a report is made of, on the terminal and in HTML."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Cell", "Row"]


@dataclass(frozen=True)
class Cell:
    """A figure as text; ``best`` if none beside it is better.

    ``range`` says how far it goes over several runs, and is empty if it is the same in all.
    """

    text: str
    best: bool = False
    range: str = ""


@dataclass(frozen=True)
class Row:
    """A line of a table, with a few words on what it is if its title does not say so."""

    title: str
    cells: tuple[Cell, ...]
    meaning: str = ""

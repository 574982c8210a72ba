"""Sheets: tables that fit the terminal, and how these and lines of text are printed there.

No word is broken. What is no terminal gets tables and lines whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

__all__ = ["Column", "Sheet", "columns_here", "show"]

_BEST = "bold green"
_ANY_WIDTH = 100_000  # of what is no terminal


@dataclass(frozen=True)
class Column:
    """A column: its name and what stands below it, the ``best`` rows of it in bold.

    ``words`` begin at the left. Where not all columns fit, the one of the greatest ``spare`` is
    left out first; with 0 it stays. ``whole`` cells are never folded, only the name is.
    """

    name: str
    cells: tuple[str, ...]
    words: bool = False
    spare: int = 0
    whole: bool = False
    best: frozenset[int] = frozenset()

    @property
    def wide(self) -> int:
        """The characters it takes if no line is broken."""
        return max(map(cell_len, _lines(self._texts)))

    @property
    def narrow(self) -> int:
        """The characters of its longest word, or of the longest line if cells are whole."""
        words = [word for text in self._texts for word in text.split()]
        if self.whole:
            words = [*self.name.split(), *_lines(self.cells)]
        return max(map(cell_len, words), default=1)

    @property
    def _texts(self) -> tuple[str, ...]:
        return (self.name, *self.cells)


class Sheet:
    """A table of columns; what it is told is shown as it is, never read as markup.

    There is a line below the first ``above`` rows, if that is not 0. Where not all columns fit,
    those to spare are left out and named; with ``goes_on`` the others follow in further tables
    instead, each of which begins with the first column.
    """

    def __init__(
        self, title: str, columns: Iterable[Column], above: int = 0, *, goes_on: bool = False
    ) -> None:
        self.title, self.above, self.goes_on = title, above, goes_on
        self.columns = [column for column in columns if column.name or any(column.cells)]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it as wide as it may be."""
        width = options.max_width
        if self.title:
            yield Text(self.title)
        if self.goes_on:
            yield from (self._table(part, width) for part in _parts(self.columns, width))
            return
        shown = _kept(self.columns, width)
        yield self._table(shown, width)
        if left_out := [column.name for column in self.columns if column not in shown]:
            yield Text(f"left out for want of room: {', '.join(left_out)}", "dim")

    def _table(self, columns: Sequence[Column], width: int) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for column, characters in zip(columns, _widths(columns, width), strict=True):
            justify = "left" if column.words else "right"
            table.add_column(Text(column.name), justify=justify, width=characters, overflow="fold")  # type: ignore[arg-type]
        for number, row in enumerate(zip(*(column.cells for column in columns), strict=True)):
            styles = [_BEST if number in column.best else "" for column in columns]
            table.add_row(*map(Text, row, styles), end_section=number + 1 == self.above)
        return table


def _lines(texts: Iterable[str]) -> list[str]:
    return [line for text in texts for line in text.split("\n")]


def _room(count: int, width: int) -> int:
    """Return how many characters so many columns have, without edges and gaps of two."""
    return width - 2 * count


def _fits(columns: Sequence[Column], width: int) -> bool:
    return sum(column.narrow for column in columns) <= _room(len(columns), width)


def _kept(columns: Sequence[Column], width: int) -> list[Column]:
    kept = list(columns)
    while not _fits(kept, width):
        spare = max(kept, key=lambda column: column.spare)
        if not spare.spare:
            break
        kept.remove(spare)
    return kept


def _parts(columns: Sequence[Column], width: int) -> list[list[Column]]:
    """Return the columns in as few parts as fit, about as many in each, all with the first one."""
    first, *others = columns
    for count in range(1, len(others) + 1):
        edges = [len(others) * at // count for at in range(count + 1)]
        parts = [[first, *others[start:stop]] for start, stop in pairwise(edges)]
        if count == len(others) or all(_fits(part, width) for part in parts):
            return parts
    return [[first]]


def _widths(columns: Sequence[Column], width: int) -> list[int]:
    """Return the columns' widths: those of long lines give way first, to their longest word."""
    widths = [column.wide for column in columns]
    while sum(widths) > _room(len(columns), width) and max(widths) > 1:
        gives = [at for at, column in enumerate(columns) if widths[at] > column.narrow]
        widest = max(gives or range(len(columns)), key=lambda at: widths[at])
        widths[widest] -= 1
    return widths


def show(shown: Sheet | Text | str, console: Console | None = None) -> None:
    """Print a sheet or a text; on a terminal its lines are folded, elsewhere they stay whole."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=_ANY_WIDTH)
    console.print(Text(shown) if isinstance(shown, str) else shown)


def columns_here() -> int:
    """Return how many characters a line of the terminal has; elsewhere 80."""
    return Console().width

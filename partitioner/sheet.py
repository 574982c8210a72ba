"""Sheets: tables that fit the terminal, and how these and lines of text are printed there.

No word is broken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

__all__ = ["Column", "Sheet", "columns_here", "show"]


@dataclass(frozen=True)
class Column:
    """A column: its name and what stands below it.

    ``words`` begin at the left. Where not all columns fit, the one of the greatest ``spare`` is
    left out first; with 0 it stays.
    """

    name: str
    cells: tuple[str, ...]
    words: bool = False
    spare: int = 0

    @property
    def wide(self) -> int:
        """The characters it takes if no line is broken."""
        return max(cell_len(line) for text in self._texts for line in text.split("\n"))

    @property
    def narrow(self) -> int:
        """The characters of its longest word."""
        return max((cell_len(word) for text in self._texts for word in text.split()), default=1)

    @property
    def _texts(self) -> tuple[str, ...]:
        return (self.name, *self.cells)


class Sheet:
    """A table of columns; what it is told is shown as it is, never read as markup.

    There is a line below the first ``above`` rows, if that is not 0.
    """

    def __init__(self, title: str, columns: Iterable[Column], above: int = 0) -> None:
        self.title, self.above = title, above
        self.columns = [column for column in columns if column.name or any(column.cells)]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it as wide as it may be: folded between words, or without columns to spare."""
        shown = _kept(self.columns, options.max_width)
        table = Table(
            title=Text(self.title),
            title_justify="left",
            caption=_left_out(self.columns, shown),
            caption_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            padding=(0, 1, 0, 0),
        )
        for column, width in zip(shown, _widths(shown, options.max_width), strict=True):
            justify = "left" if column.words else "right"
            table.add_column(Text(column.name), justify=justify, width=width, overflow="fold")  # type: ignore[arg-type]
        for number, row in enumerate(zip(*(column.cells for column in shown), strict=True), 1):
            table.add_row(*map(Text, row), end_section=number == self.above)
        yield table


def _room(count: int, width: int) -> int:
    """Return how many characters so many columns have, without edges and gaps of two."""
    return width - 2 * count


def _kept(columns: Sequence[Column], width: int) -> list[Column]:
    kept = list(columns)
    while sum(column.narrow for column in kept) > _room(len(kept), width):
        spare = max(kept, key=lambda column: column.spare)
        if not spare.spare:
            break
        kept.remove(spare)
    return kept


def _left_out(columns: Sequence[Column], shown: Sequence[Column]) -> Text | None:
    names = [column.name for column in columns if column not in shown]
    return Text(f"left out for want of room: {', '.join(names)}", "dim") if names else None


def _widths(columns: Sequence[Column], width: int) -> list[int]:
    """Return the columns' widths: those of long lines give way first, to their longest word."""
    widths = [column.wide for column in columns]
    while sum(widths) > _room(len(columns), width) and max(widths) > 1:
        gives = [at for at, column in enumerate(columns) if widths[at] > column.narrow]
        widest = max(gives or range(len(columns)), key=lambda at: widths[at])
        widths[widest] -= 1
    return widths


def show(shown: Sheet | Text | str) -> None:
    """Print a sheet or a text; on a terminal its lines are folded, elsewhere they stay whole."""
    console = Console()
    if isinstance(shown, Sheet):
        console.print(shown)
        return
    text = Text(shown) if isinstance(shown, str) else shown
    console.print(text, soft_wrap=not console.is_terminal)


def columns_here() -> int:
    """Return how many characters a line of the terminal has; elsewhere 80."""
    return Console().width

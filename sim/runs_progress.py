"""Progress of simulated runs on standard error: which are under way, and the time that is left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from offramp.sheet import show
from partitioner.strategies import STRATEGIES
from sim.world.cells import Cell

__all__ = ["show_end", "show_progress", "show_under_way", "warn_of_slow_ones"]


@contextmanager
def show_progress(count: int, wanted: int) -> Iterator[Progress]:
    """Show on standard error how far the runs are, and the time that is left."""
    console = Console(stderr=True)
    if count < wanted:
        console.print(f"{wanted - count} of {wanted} runs are there already", highlight=False)
    columns = BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(
        TextColumn("{task.description:<24}", markup=False),
        *columns,
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as bar:
        bar.add_task("simulating", total=count)
        yield bar


def warn_of_slow_ones(todo: Sequence[Cell]) -> None:
    """Say once which runs take long, so that nobody takes them for stuck."""
    names = dict.fromkeys(cell.strategy for cell in todo)
    slow = [name for name in names if getattr(STRATEGIES[name], "clairvoyant", False)]
    if slow:
        show(
            f"{' and '.join(slow)} look{'s' if len(slow) == 1 else ''} ahead at what the links "
            f"will do, and a run of {'it' if len(slow) == 1 else 'them'} takes several times as "
            "long as one of the others",
            Console(stderr=True),
        )


def show_under_way(bar: Progress, cells: Sequence[Cell]) -> None:
    """Show which runs are under way: strategy and seed of the first, and how many more."""
    names = [f"{cell.strategy} {cell.seed}" for cell in cells]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    bar.update(bar.task_ids[0], description=f"{names[0]}{more}" if names else "done")


def show_end(bar: Progress, cell: Cell, word: str) -> None:
    """Show that a run ended."""
    bar.update(bar.task_ids[0], advance=1)
    if not bar.console.is_terminal:
        name = f"{cell.strategy}, seed {cell.seed}"
        bar.console.print(f"{name}: {word}", highlight=False, markup=False)

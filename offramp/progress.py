"""Progress: a bar, a count and the time, then how it stands, on one line of the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

__all__ = ["say_shares", "sample_progress"]

_WIDE = 100  # characters of a terminal from which on a longer bar leaves room for the rest
_EXIT = "exit "


class _Status(TextColumn):
    """What a task's field ``status`` says; where it finds no room it ends in an ellipsis."""

    def __init__(self) -> None:
        super().__init__("{task.fields[status]}", markup=False, table_column=Column())

    def render(self, task: Task) -> Text:
        text = super().render(task)
        text.no_wrap, text.overflow = True, "ellipsis"
        return text


def sample_progress(console: Console) -> Progress:
    """Return a display of tasks with a ``status``; on what is no terminal it shows nothing."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20 if console.width >= _WIDE else 6, table_column=Column(no_wrap=True)),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        _Status(),
        console=console,
        disable=not console.is_terminal,
    )


def say_shares(names: Iterable[str]) -> str:
    """Say who answered which share of some samples; several exits are told together."""
    answered = list(names)
    exits = {name for name in answered if name.startswith(_EXIT)}
    if len(exits) > 1:
        answered = ["exits" if name in exits else name for name in answered]
    counts = sorted(Counter(answered).items())
    return ", ".join(f"{name} {count / len(answered):.0%}" for name, count in counts)

"""What a user sees of a training: a bar, a line for each epoch, and tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from types import TracebackType
from typing import Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from offramp.training.options import Progress
from offramp.training.placement import Candidate
from offramp.training.trained import Trained

__all__ = ["ProgressDisplay", "print_bottlenecks", "print_places", "print_trained"]


class ProgressDisplay:
    """Shows the steps of an epoch as a bar and every epoch that is done as a line."""

    def __init__(self, console: Console, names: Sequence[str]) -> None:
        self._names = names
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        self._bar = Bar(*columns, TimeElapsedColumn(), console=console, transient=True)
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def show(self, progress: Progress) -> None:
        """Show a step, or the end of an epoch."""
        where = f"{progress.stage}, epoch {progress.epoch}/{progress.epochs}"
        line = f"{where}: loss {progress.loss:.3f}"
        self._bar.update(
            self._task, description=line, completed=progress.step, total=progress.steps
        )
        if progress.accuracies is not None:
            pairs = zip(self._names, progress.accuracies, strict=False)
            told = ", ".join(f"{name} {share:.1%}" for name, share in pairs)
            self._bar.console.print(Text("; ".join(filter(None, (line, told)))))


def print_trained(console: Console, trained: Trained) -> None:
    """Print a table of the exits and their accuracies, or how they could be known."""
    table = Table(title=f"trained by {trained.recipe}", box=SIMPLE_HEAD, title_justify="left")
    table.add_column("exit after")
    table.add_column("head")
    table.add_column("held-out accuracy", justify="right")
    for spec in trained.exits:
        table.add_row(Text(spec.path), spec.head, _share(spec.accuracy))
    table.add_row("whole model", "", _share(trained.accuracy))
    console.print(table)
    if trained.accuracy is None:
        console.print(Text("no sample was held out to tell accuracies; give some with --held-out"))


def print_bottlenecks(console: Console, trained: Trained) -> None:
    """Print a table of every bottleneck's codec levels."""
    table = Table(title="bottlenecks", box=SIMPLE_HEAD, title_justify="left")
    table.add_column("behind")
    table.add_column("level")
    table.add_column("bytes a sample, at most about", justify="right")
    table.add_column("answers as the model", justify="right")
    for spec in trained.bottlenecks:
        for level in spec.levels:
            same = _share(level.same_share)
            table.add_row(Text(spec.path), level.level, f"{level.bytes:.0f}", same)
    console.print(table)
    if not all(spec.levels for spec in trained.bottlenecks):
        console.print(Text("no sample was held out to tell levels; give some with --held-out"))


def print_places(
    console: Console, candidates: Sequence[Candidate], whole: Candidate, chosen: Collection[str]
) -> None:
    """Print a table of the places that were probed, those that were chosen marked."""
    table = Table(title="places for exits", box=SIMPLE_HEAD, title_justify="left")
    table.add_column("after")
    table.add_column("MMAC with the head", justify="right")
    table.add_column("of the model", justify="right")
    table.add_column("accuracy of a linear probe", justify="right")
    table.add_column("")
    for one in (*candidates, whole):
        table.add_row(
            Text(one.path or "whole model"),
            f"{one.macs / 1e6:.2f}",
            f"{one.macs / whole.macs:.1%}",
            f"{one.accuracy:.1%}",
            "exit" if one.path in chosen else "",
        )
    console.print(table)


def _share(accuracy: float | None) -> str:
    return "-" if accuracy is None else f"{accuracy:.1%}"

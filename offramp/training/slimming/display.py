"""What a user sees of a slimmed device part: what it cost and answered before, and now."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from offramp.training.setup import TrainingSetup
from offramp.training.slimming.timing import Took, time_device_parts
from offramp.training.trained import Trained

__all__ = ["print_slimmed"]


def print_slimmed(console: Console, setup: TrainingSetup, trained: Trained) -> None:
    """Time the device part as it was and slimmed, and print both; nothing if it is not slimmed."""
    slimmed, lesson = trained.slimmed, setup.lesson
    if not slimmed or not lesson:
        return
    models = (lesson.original.model, setup.model.model)
    times = time_device_parts(models, setup.training.batch(range(1)), slimmed.until)
    table = Table(
        title=f"slimmed to {slimmed.share:g} of its inner width until {slimmed.until}",
        box=SIMPLE_HEAD,
        title_justify="left",
    )
    table.add_column("")
    table.add_column("before", justify="right")
    table.add_column("slimmed", justify="right")
    table.add_row("MMAC of the device part", *(f"{macs / 1e6:.2f}" for macs in slimmed.macs))
    table.add_row("ms a sample, in PyTorch here", *map(_told, times))
    after = {f"exit after {spec.path}": spec.accuracy for spec in trained.exits}
    after["whole model"] = trained.accuracy
    for (name, now), then in zip(
        after.items(), slimmed.accuracies, strict=bool(slimmed.accuracies)
    ):
        table.add_row(Text(f"{name}, held-out accuracy"), f"{then:.1%}", f"{now:.1%}")
    console.print(table)


def _told(took: Took) -> str:
    median, lower, upper = (1000 * s for s in (took.median_s, took.lower_s, took.upper_s))
    return f"{median:.2f} ({lower:.2f} to {upper:.2f})"

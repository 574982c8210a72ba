"""Tables: the strategies' figures with their spread over the seeds, and the servers'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from offramp.report.cells import Cell, Row
from offramp.report.metrics import show_seconds
from sim.report.contenders import Contender, Figures, OverSeeds
from sim.report.metrics import Metric, show_share

__all__ = ["Table", "build_table", "server_table"]


@dataclass(frozen=True)
class Table:
    """Headings with their meanings, and a row for each strategy."""

    headings: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]


def build_table(
    contenders: Sequence[Contender], metrics: Sequence[Metric], group: str | None = None
) -> Table:
    """Return the table of some metrics, of one group or of all together.

    The best is one of those that do not know the future and gave any answer.
    """
    columns = [_column(contenders, metric, group) for metric in metrics]
    return Table(
        tuple((metric.title, metric.meaning) for metric in metrics),
        tuple(
            _row(one, tuple(column[place] for column in columns))
            for place, one in enumerate(contenders)
        ),
    )


def server_table(contenders: Sequence[Contender], server: str) -> Table:
    """Return what became of one server under each strategy, in the mean over the seeds."""
    headings = (
        ("busy", "share of its workers' time"),
        ("mean queue", "of what it answered"),
        ("answered", "samples a run"),
        ("refused", "samples a run, for its queue was full"),
        ("expired", "samples a run, whose time was over"),
        ("samples a step", "mean over its steps"),
        ("largest step", "samples"),
    )
    return Table(headings, tuple(_row(one, _served(one, server)) for one in contenders))


def _row(contender: Contender, cells: tuple[Cell, ...]) -> Row:
    return Row(contender.name, cells, "knows the future" if contender.clairvoyant else "")


def _column(contenders: Sequence[Contender], metric: Metric, group: str | None) -> list[Cell]:
    found = [one.over_seeds(metric.value, group) for one in contenders]
    texts = ["-" if one is None else metric.show(one.mean) for one in found]
    live = [_is_live(contender) for contender in contenders]
    known = [one.mean for one, counts in zip(found, live, strict=True) if one and counts]
    best = ""
    if metric.best and len({metric.show(mean) for mean in known}) > 1:
        best = metric.show(max(known) if metric.best == "most" else min(known))
    return [
        Cell(text, counts and bool(best) and text == best, _range(one, metric))
        for text, one, counts in zip(texts, found, live, strict=True)
    ]


def _is_live(contender: Contender) -> bool:
    return not contender.clairvoyant and any(one["answered"] for one in contender.figures())


def _range(one: OverSeeds | None, metric: Metric) -> str:
    """Return the range over the seeds, with the unit once if both ends have it."""
    if one is None:
        return ""
    least, most = metric.show(one.least), metric.show(one.most)
    if least == most:
        return ""
    (number, _, unit), (_, _, other) = least.partition(" "), most.partition(" ")
    return f"{number} to {most}" if unit == other else f"{least} to {most}"


def _served(contender: Contender, server: str) -> tuple[Cell, ...]:
    runs = [run["servers"][server] for run in contender.runs]
    waits_s = [run["queue_mean_s"] for run in runs if run["queue_mean_s"] is not None]
    sizes = [_sizes(run) for run in runs]
    steps = sum(count for each in sizes for _, count in each)
    samples = sum(size * count for each in sizes for size, count in each)
    most = max((size for each in sizes for size, _ in each), default=0)
    return (
        Cell(show_share(_mean([run["busy_share"] for run in runs]))),
        Cell(show_seconds(_mean(waits_s)) if waits_s else "-"),
        *(Cell(f"{_mean([run[key] for run in runs]):.0f}") for key in _COUNTS),
        Cell(f"{samples / steps:.2f}" if steps else "-"),
        Cell(str(most) if steps else "-"),
    )


_COUNTS = ("answered", "refused", "expired")


def _sizes(run: Figures) -> list[tuple[int, int]]:
    return [(int(size), count) for size, count in run["batch_sizes"].items()]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

"""The table of simulated runs for the terminal: a row for each strategy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from offramp.sheet import Column, Sheet

__all__ = ["results_table"]

Figures = Mapping[str, Any]


def results_table(runs: Sequence[Figures]) -> Sheet:
    """Return the means over each strategy's seeds, of one request; some run is there.

    Figures that find no room go on below.
    """
    devices = runs[0]["devices"]
    title = f"{runs[0]['scenario']}: {devices} device{'s' if devices != 1 else ''}, times in ms"
    totals: dict[str, list[Figures]] = {}
    for run in runs:
        totals.setdefault(run["strategy"], []).append(run["total"])
    figures = [
        Column(name, tuple(_mean(each, value, show) for each in totals.values()), whole=True)
        for name, value, show in _FIGURES
    ]
    strategies = Column("strategy", tuple(totals), words=True, whole=True)
    return Sheet(title, [strategies, *figures], goes_on=True)


def _mean(
    runs: Sequence[Figures],
    value: Callable[[Figures], float | None],
    show: Callable[[float], str],
) -> str:
    known = [each for run in runs if (each := value(run)) is not None]
    return show(sum(known) / len(known)) if known else "-"


def _of(key: str) -> Callable[[Figures], float | None]:
    return lambda figures: figures[key]


def _each(key: str) -> Callable[[Figures], float | None]:
    return lambda figures: figures[key] / max(figures["requests"], 1)


def _ms(time_s: float) -> str:
    return f"{time_s * 1e3:.1f}"


_FIGURES: tuple[tuple[str, Callable[[Figures], float | None], Callable[[float], str]], ...] = (
    ("mean", _of("mean_s"), _ms),
    ("p50", _of("p50_s"), _ms),
    ("p95", _of("p95_s"), _ms),
    ("p99", _of("p99_s"), _ms),
    ("late", _of("late_share"), "{:.2%}".format),
    ("accuracy", _of("accuracy"), "{:.2%}".format),
    ("bytes", _each("uplink_bytes"), "{:.0f}".format),
    ("device", _each("device_s"), _ms),
    ("sent", _of("sent_share"), "{:.2%}".format),
)

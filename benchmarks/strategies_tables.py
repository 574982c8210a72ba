"""Tables of strategies: every figure of a cell, and what Offramp's own gains on each course."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from benchmarks.strategies_scores import (
    AIM_TAIL_S,
    ORACLE,
    OWN,
    UNEVEN,
    Figure,
    Place,
    Score,
    Spread,
    compare,
)

__all__ = [
    "AIM_GAIN",
    "AIM_ORACLE",
    "AIM_TRIVIAL",
    "Table",
    "cell_table",
    "name_of",
    "summary_line",
    "summary_table",
    "tight_table",
    "uneven_table",
]

Table = tuple[list[str], list[list[str]]]
"""Headings, and rows."""

AIM_ORACLE, AIM_GAIN, AIM_TRIVIAL = 1.03, 1.5, 1.02

_FIGURES: dict[str, Callable[[Score], str]] = {
    "mean": lambda score: _ms(score.mean_s),
    "p95": lambda score: _ms(score.p95_s),
    "p99": lambda score: _ms(score.p99_s),
    "missed": lambda score: f"{score.missed:.1%}",
    "overdue": lambda score: f"{score.overdue:.1%}",
    "bytes": lambda score: f"{score.bytes:.0f}",
    "mJ": lambda score: f"{score.energy_j * 1e3:.0f}",
    "accuracy": lambda score: f"{score.accuracy:.2%}",
    "sent": lambda score: f"{score.sent:.0%}",
    "device": lambda score: _ms(score.device_s),
    "hedge": lambda score: _ms(score.hedge_s),
    "hurried": lambda score: f"{score.hurried:.1%}",
    "never": lambda score: f"{score.unanswered:.1%}",
}


def cell_table(scores: Mapping[str, Score]) -> Table:
    """Return every figure of a cell, quickest first; a star is a run of other code.

    What was never answered is told only where there is such a thing.
    """
    ranked = sorted(scores.items(), key=lambda item: item[1].mean_s)
    all_answered = not any(score.unanswered for score in scores.values())
    shown = [name for name in _FIGURES if not (all_answered and name == "never")]
    rows = [
        [name + ("" if score.current else " *"), *(_FIGURES[key](score) for key in shown)]
        for name, score in ranked
    ]
    return ["", *shown], rows


def tight_table(scores: Mapping[str, Score]) -> Table:
    """Return what came of a tight deadline, fewest late answers first."""
    ranked = sorted(scores.items(), key=lambda item: (item[1].overdue, item[1].mean_s))
    rows = [
        [name + ("" if score.current else " *"), *(_FIGURES[key](score) for key in _TIGHT)]
        for name, score in ranked
    ]
    return ["", *_TIGHT], rows


def uneven_table(places: Sequence[Place]) -> Table:
    """Return what came of samples that come unevenly: a few rows for each course where that ran.

    They are Offramp's own strategy, the quickest published one that is as accurate, what trivial
    rules do and the oracle.
    """
    rows = []
    for place in places:
        scores = {name.removesuffix(UNEVEN): score for name, score in place.uneven.items()}
        found = compare(scores)
        best = found.published if found else None
        for name in dict.fromkeys((OWN, best, "device_exits", "server_only", ORACLE)):
            if name in scores:
                star = "" if scores[name].current else " *"
                told = f"{name}{' (best published)' * (name == best)}{star}"
                rows.append(
                    [place.course.name, told, *(_FIGURES[key](scores[name]) for key in _UNEVEN)]
                )
    return ["", "strategy", *_UNEVEN], rows


_UNEVEN = ("mean", "p95", "p99", "missed", "overdue", "accuracy", "sent", "hurried")
_TIGHT = ("overdue", "hurried", "accuracy", "mean", "p95", "sent")


def summary_table(places: Sequence[Place]) -> Table:
    """Return a row for each course: what it carries, and what Offramp's own strategy gains there.

    A ``!`` follows what misses its aim, an ``o`` the name of a course with many outages, an ``h``
    one that was held out. Of several seeds it is the median, with the range behind it.
    """
    columns = ["", "Mbit/s", "out", "mean", "/ oracle", "p99 less", "/ trivial"]
    columns += ["published", "gain", "room", "waiting", "kept / oracle", "p99 less"]
    return columns, [_summary_row(place) for place in places]


def name_of(place: Place) -> str:
    """Return a course's name with its marks."""
    marks = {" o": place.rates.outage_prone, " h": place.course.held_out}
    return place.course.name + "".join(mark for mark, holds in marks.items() if holds)


def _summary_row(place: Place) -> list[str]:
    rates, found = place.rates, place.comparison
    row = [name_of(place), f"{rates.mean_bps / 1e6:.1f}", f"{rates.outage_share:.1%}"]
    if found is None:
        return [*row, *["-"] * 10]
    aim = AIM_GAIN if rates.outage_prone else 0.0

    def ratio(figure: Figure, reached: Callable[[float], bool] = lambda _: True) -> str:
        return _spread(place.spread(figure), lambda value: f"{value:.3f}", reached)

    def tail(figure: Figure) -> str:
        return _spread(place.spread(figure), _ms, lambda seconds: seconds <= AIM_TAIL_S)

    return [
        *row,
        _spread(place.spread(lambda c: c.own.mean_s), _ms, lambda _: True),
        ratio(lambda c: c.to_oracle, lambda value: value <= AIM_ORACLE),
        tail(lambda c: c.tail_s),
        ratio(lambda c: c.to_trivial, lambda value: value <= AIM_TRIVIAL),
        found.published or "-",
        ratio(lambda c: c.gain, lambda value: value >= aim),
        ratio(lambda c: c.room),
        ratio(lambda c: c.waiting),
        ratio(lambda c: c.kept_to_oracle, lambda value: value <= AIM_ORACLE),
        tail(lambda c: c.kept_tail_s),
    ]


def summary_line(places: Sequence[Place]) -> str:
    """Say in one line how far the aims are reached, each figure the median over seeds."""

    def of(figure: Figure) -> list[float]:
        spreads = (place.spread(figure) for place in places)
        return [spread.median for spread in spreads if spread is not None]

    parts = []
    if ratios := of(lambda c: c.to_oracle):
        worst = f"median {statistics.median(ratios):.3f}, worst {max(ratios):.3f}"
        parts.append(f"mean over the oracle's {worst}")
    if tails := of(lambda c: c.tail_s):
        parts.append(f"p99 at most {max(tails) * 1e3:+.0f} ms from the device's")
    if trivial := of(lambda c: c.to_trivial):
        parts.append(f"at most {max(trivial):.3f} of the better trivial one")
    if gains := of(lambda c: c.gain):
        parts.append(f"best published over it {statistics.median(gains):.2f} (median)")
    return "; ".join(parts) or "nothing to compare"


def _spread(
    found: Spread | None, show: Callable[[float], str], reached: Callable[[float], bool]
) -> str:
    if found is None:
        return "-"
    middle = show(found.median) + ("" if reached(found.median) else " !")
    least, most = show(found.least), show(found.most)
    return middle if least == most else f"{middle} ({least} to {most})"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}"

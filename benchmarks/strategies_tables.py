"""Tables of strategies: every figure of a cell, and what Offramp's own gains on each course."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from benchmarks.strategies_courses import Rates
from benchmarks.strategies_scores import AIM_TAIL_S, Comparison, Score

__all__ = [
    "AIM_GAIN",
    "AIM_ORACLE",
    "AIM_TRIVIAL",
    "Table",
    "cell_table",
    "summary_line",
    "summary_table",
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
}


def cell_table(scores: Mapping[str, Score]) -> Table:
    """Return every figure of a cell, quickest first; a star is a run of other code."""
    ranked = sorted(scores.items(), key=lambda item: item[1].mean_s)
    rows = [
        [name + ("" if score.current else " *"), *(show(score) for show in _FIGURES.values())]
        for name, score in ranked
    ]
    return ["", *_FIGURES], rows


def summary_table(rows: Sequence[tuple[str, Rates, Comparison | None]]) -> Table:
    """Return a row for each course: what it carries, and what Offramp's own strategy gains there.

    A ``!`` follows what misses its aim, and an ``o`` the name of a course with many outages.
    """
    columns = ["", "Mbit/s", "out", "mean", "/ oracle", "p99 less", "/ trivial"]
    columns += ["published", "gain", "room", "kept / oracle", "p99 less"]
    return columns, [_summary_row(*row) for row in rows]


def _summary_row(name: str, rates: Rates, found: Comparison | None) -> list[str]:
    name += " o" if rates.outage_prone else ""
    link = [name, f"{rates.mean_bps / 1e6:.1f}", f"{rates.outage_share:.1%}"]
    if found is None:
        return [*link, *["-"] * 9]
    aim = AIM_GAIN if rates.outage_prone else 0.0
    return [
        *link,
        _ms(found.own.mean_s),
        _ratio(found.to_oracle, lambda ratio: ratio <= AIM_ORACLE),
        _tail(found.tail_s),
        _ratio(found.to_trivial, lambda ratio: ratio <= AIM_TRIVIAL),
        found.published or "-",
        _ratio(found.gain, lambda ratio: ratio >= aim),
        _ratio(found.room, lambda _: True),
        _ratio(found.kept_to_oracle, lambda ratio: ratio <= AIM_ORACLE),
        _tail(found.kept_tail_s),
    ]


def summary_line(found: Sequence[Comparison | None]) -> str:
    """Say in one line how far the aims are reached."""
    ran = [one for one in found if one is not None]
    parts = []
    if ratios := [one.to_oracle for one in ran if one.to_oracle is not None]:
        worst = f"median {statistics.median(ratios):.3f}, worst {max(ratios):.3f}"
        parts.append(f"mean over the oracle's {worst}")
    if tails := [one.tail_s for one in ran if one.tail_s is not None]:
        parts.append(f"p99 at most {max(tails) * 1e3:+.0f} ms from the device's")
    if trivial := [one.to_trivial for one in ran if one.to_trivial is not None]:
        parts.append(f"at most {max(trivial):.3f} of the better trivial one")
    if gains := [one.gain for one in ran if one.gain is not None]:
        parts.append(f"best published over it {statistics.median(gains):.2f} (median)")
    return "; ".join(parts) or "nothing to compare"


def _ratio(value: float | None, reached: Callable[[float], bool]) -> str:
    return "-" if value is None else f"{value:.3f}{_flag(reached(value))}"


def _tail(seconds: float | None) -> str:
    return "-" if seconds is None else _ms(seconds) + _flag(seconds <= AIM_TAIL_S)


def _flag(reached: bool) -> str:
    return "" if reached else " !"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}"

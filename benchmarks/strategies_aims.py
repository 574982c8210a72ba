"""Aims: how far Offramp's own strategy reaches them, by task and course."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.strategies_scores import AIM_TAIL_S, ORACLE, Figure, Place
from benchmarks.strategies_tables import AIM_GAIN, AIM_ORACLE, AIM_TRIVIAL, Table

__all__ = ["ahead_of_oracle", "aims_table", "by_task"]

_AIMS: tuple[tuple[str, Figure, float, bool], ...] = (
    ("mean over the oracle's", lambda c: c.to_oracle, AIM_ORACLE, False),
    ("p99 less the device's alone, ms", lambda c: _in_ms(c.tail_s), AIM_TAIL_S * 1e3, False),
    ("mean over the oracle's, p99 kept", lambda c: c.kept_to_oracle, AIM_ORACLE, False),
    (
        "p99 less the device's alone, p99 kept, ms",
        lambda c: _in_ms(c.kept_tail_s),
        AIM_TAIL_S * 1e3,
        False,
    ),
    ("mean over the better trivial one's", lambda c: c.to_trivial, AIM_TRIVIAL, False),
    ("best published over its mean, outage-prone", lambda c: c.gain, AIM_GAIN, True),
    ("best published over the oracle's, likewise", lambda c: c.room, AIM_GAIN, True),
)
"""What is aimed at: a figure, its limit, and whether at outage-prone courses, at least that."""


def aims_table(places: Sequence[Place]) -> Table:
    """Return a row for each aim and task: the limit, the median, the worst, and how many reach it.

    Courses that were held out have rows of their own. Where outages are frequent the published
    strategies are to be beaten by a factor. Each place counts by its median over seeds.
    """
    rows = []
    for title, figure, limit, at_outages in _AIMS:
        for name, mine in by_task(places):
            for held_out in (False, True):
                found = [
                    (spread.median, place.course.name)
                    for place in mine
                    if place.course.held_out == held_out
                    and (place.rates.outage_prone or not at_outages)
                    and (spread := place.spread(figure)) is not None
                ]
                if found:
                    courses = "held out" if held_out else "tried on"
                    rows.append([title, name, courses, *_against(found, limit, least=at_outages)])
    return ["aim", "task", "courses", "limit", "median", "worst", "reached"], rows


def ahead_of_oracle(places: Sequence[Place]) -> list[str]:
    """Say where contenders were quicker than the oracle and as accurate, and how many.

    One that computes on while an answer is under way may be, and others by a few thousandths, as
    the oracle does not know how a sample will fare. More than that says that something is wrong
    with the oracle or with the accounts.
    """
    found = []
    for place in places:
        ahead = place.comparison.ahead if place.comparison else ()
        if ahead:
            first = min(ahead, key=lambda name: place.scores[name].mean_s)
            ratio = place.scores[first].mean_s / place.scores[ORACLE].mean_s
            where = f"{place.task.name}, {place.course.name}"
            found.append(f"{where}: {len(ahead)}, the quickest {first} at {ratio:.3f}")
    return found


def _against(found: Sequence[tuple[float, str]], limit: float, *, least: bool) -> list[str]:
    worst, where = min(found) if least else max(found)
    values = [value for value, _ in found]
    reached = sum(value >= limit if least else value <= limit for value in values)
    sign = ">=" if least else "<="
    return [
        f"{sign} {limit:g}",
        f"{np.median(values):.3g}",
        f"{worst:.3g} ({where})",
        f"{reached} of {len(values)}",
    ]


def _in_ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def by_task(places: Sequence[Place]) -> Iterator[tuple[str, list[Place]]]:
    for name in dict.fromkeys(place.task.name for place in places):
        yield name, [place for place in places if place.task.name == name]

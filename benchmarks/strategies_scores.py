"""Scores: what came of each strategy in a cell, and how Offramp's own compares with the others."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.strategies_courses import Course, Rates
from benchmarks.strategies_tasks import Task
from partitioner.power import Power
from sim.world.energy import energy_j

__all__ = [
    "AIM_TAIL_S",
    "ORACLE",
    "OWN",
    "PUBLISHED",
    "TAIL_KEPT",
    "TIGHT",
    "UNEVEN",
    "WAITING",
    "Comparison",
    "Figure",
    "Place",
    "Score",
    "Spread",
    "compare",
    "is_compared",
    "missed_share",
    "score_of",
]

OWN, ORACLE, ALONE = "offramp", "oracle", "device_only"
PUBLISHED = (
    *("neurosurgeon", "dads", "qdmp", "edgent", "spinn", "portend", "ans"),
    *("device_exits", "server_only", "server_only_raw", "fixed_split"),
)
"""The strategies of others, BranchyNet's exits and the compressed input among them."""

TRIVIAL = (ALONE, "server_only")
TAIL_KEPT, WAITING, TIGHT, UNEVEN = ", p99 kept", ", waiting", ", tight", ", uneven"
"""What follows the names of strategies that ran in another manner than by default."""

AIM_TAIL_S = 0.005
"""So much more than the device's alone a 99th percentile may be."""

ALIKE = 0.005
"""Whoever is right on a share that is at most so much smaller counts as as accurate."""


@dataclass(frozen=True)
class Score:
    """The figures of one strategy in one cell, per request.

    ``missed`` came later than the task's `late_s`, ``overdue`` than its deadline, or never.
    ``unanswered`` never came: they count as wrong in ``accuracy`` and not in latencies.
    ``energy_j`` is what samples add to a board that is on anyway. ``hedge_s`` of ``device_s`` was
    spent while the answer was under way. ``hurried`` are those that the device answered with less
    than was planned. ``current`` is false of a run by other code than today's.
    """

    mean_s: float
    p95_s: float
    p99_s: float
    missed: float
    overdue: float
    bytes: float
    energy_j: float
    accuracy: float
    device_s: float
    hedge_s: float
    sent: float
    hurried: float = 0.0
    unanswered: float = 0.0
    current: bool = True


def score_of(
    total: Mapping[str, Any],
    task: Task,
    power: Power,
    *,
    waits: bool = False,
    current: bool = True,
) -> Score | None:
    """Return the score of a run's figures (`sim.world.tally.Tally.summary`); None if none came.

    One that ``waits`` had a deadline of its own: what is overdue is by the task's nevertheless.
    """
    requests = total["requests"]
    if not total["answered"]:
        return None
    return Score(
        mean_s=total["mean_s"],
        p95_s=total["p95_s"],
        p99_s=total["p99_s"],
        missed=missed_share(total, task.late_s),
        overdue=missed_share(total, task.deadline_s) if waits else total["late_share"],
        bytes=(total["up_bytes"] + total["probe_bytes"]) / requests,
        energy_j=energy_j(total, power, task.period_s) / requests,
        accuracy=total["right_share"],
        device_s=total["device_s"] / requests,
        hedge_s=total["hedge_s"] / requests,
        sent=total["sent_share"],
        hurried=total["statuses"].get("degraded", 0) / requests,
        unanswered=1 - total["answered"] / requests,
        current=current,
    )


_BIN = 1.003  # a bin's upper edge is at most half a per cent above what is in it


def missed_share(total: Mapping[str, Any], late_s: float) -> float:
    """Return the share of requests that were answered after a time, or never."""
    in_time = sum(count for edge_s, count in total["histogram"] if edge_s <= late_s * _BIN)
    return float(1 - in_time / total["requests"])


@dataclass(frozen=True)
class Comparison:
    """How Offramp's strategy did in a cell; None where what it is compared with did not run.

    ``to_oracle`` and ``to_trivial`` are its mean latency over the oracle's and over that of the
    better one of `TRIVIAL`; ``tail_s`` its 99th percentile less that of the device alone.
    ``published`` is the quickest of `PUBLISHED` that is as accurate, and ``gain`` the mean latency
    of that over its own; ``room`` is that over the oracle's. ``ahead`` are those that are quicker
    than the oracle and as accurate. ``kept_to_oracle`` and ``kept_tail_s`` are the same of the
    run in which its 99th percentile was limited. ``waiting`` is the mean latency of the quickest
    rival that waits for every answer, and is as accurate, over its own.
    """

    own: Score
    to_oracle: float | None
    tail_s: float | None
    kept_to_oracle: float | None
    kept_tail_s: float | None
    published: str | None
    gain: float | None
    room: float | None
    to_trivial: float | None
    waiting: float | None
    ahead: tuple[str, ...]


def is_compared(name: str) -> bool:
    """Tell whether a `Comparison` looks at what ran under this name: so it must run on each seed.

    The best rival of a seed is the best of the same rivals on every seed, not of those that luck
    had left.
    """
    return name in (OWN, OWN + TAIL_KEPT, ORACLE, *TRIVIAL, *PUBLISHED) or name.endswith(WAITING)


def compare(scores: Mapping[str, Score]) -> Comparison | None:
    """Return how Offramp's strategy compares with the others of a cell; None if it did not run."""
    own = scores.get(OWN)
    if own is None:
        return None
    oracle, alone = scores.get(ORACLE), scores.get(ALONE)
    trivial = [scores[name].mean_s for name in TRIVIAL if name in scores]
    published, kept = _quickest(scores, PUBLISHED, own), scores.get(OWN + TAIL_KEPT)
    waiting = _quickest(scores, tuple(n for n in scores if n.endswith(WAITING)), own)
    return Comparison(
        own,
        to_oracle=own.mean_s / oracle.mean_s if oracle else None,
        tail_s=own.p99_s - alone.p99_s if alone else None,
        kept_to_oracle=kept.mean_s / oracle.mean_s if kept and oracle else None,
        kept_tail_s=kept.p99_s - alone.p99_s if kept and alone else None,
        published=published,
        gain=scores[published].mean_s / own.mean_s if published else None,
        room=scores[published].mean_s / oracle.mean_s if published and oracle else None,
        to_trivial=own.mean_s / min(trivial) if trivial else None,
        waiting=scores[waiting].mean_s / own.mean_s if waiting else None,
        ahead=_ahead(scores, oracle),
    )


def _quickest(scores: Mapping[str, Score], names: tuple[str, ...], own: Score) -> str | None:
    found = [name for name in names if name in scores and _is_as_accurate(scores[name], own)]
    return min(found, key=lambda name: scores[name].mean_s, default=None)


def _is_as_accurate(one: Score, other: Score) -> bool:
    return one.accuracy >= other.accuracy - ALIKE


def _ahead(scores: Mapping[str, Score], oracle: Score | None) -> tuple[str, ...]:
    if oracle is None:
        return ()
    return tuple(
        name
        for name, score in scores.items()
        if score.mean_s < oracle.mean_s and _is_as_accurate(score, oracle)
    )


Figure = Callable[[Comparison], float | None]
"""A figure of a comparison; None where there is nothing to compare."""


@dataclass(frozen=True)
class Spread:
    """A figure over seeds."""

    median: float
    least: float
    most: float


@dataclass
class Place:
    """A task on a course, and the scores of what ran there.

    ``further`` are the scores with further seeds, of those that ran with them; ``tight`` those of
    strategies with a deadline that the device alone cannot keep, ``uneven`` those of samples that
    come unevenly.
    """

    task: Task
    course: Course
    rates: Rates
    scores: dict[str, Score] = field(default_factory=dict)
    further: dict[int, dict[str, Score]] = field(default_factory=dict)
    tight: dict[str, Score] = field(default_factory=dict)
    uneven: dict[str, Score] = field(default_factory=dict)

    @property
    def comparison(self) -> Comparison | None:
        """How Offramp's own strategy compares under the first seed."""
        return compare(self.scores)

    @property
    def seeds(self) -> int:
        """Under how many seeds Offramp's own strategy ran."""
        return sum(OWN in scores for scores in (self.scores, *self.further.values()))

    def spread(self, figure: Figure) -> Spread | None:
        """Return a figure's median and range over seeds; None if there is nothing to compare."""
        every = (compare(scores) for scores in (self.scores, *self.further.values()))
        found = [value for one in every if one and (value := figure(one)) is not None]
        return Spread(statistics.median(found), min(found), max(found)) if found else None

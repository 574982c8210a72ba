"""The best plan for what comes: the measure that all who cannot know it are held against.

Of what a sample does under a plan only what the plan says is known, its shares and mean bytes: not
whether this sample leaves at an exit. Queues on the device are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from weakref import WeakKeyDictionary, ref

import numpy as np

from partitioner.conditions import Conditions
from partitioner.costs import FRAME_OVERHEAD_BYTES
from partitioner.future import Future
from partitioner.objective import Objective
from partitioner.pareto import undercut_by_none
from partitioner.plan import Plan
from partitioner.planner import Planner

__all__ = ["best_foreseen"]

_EXACT = 1e-12
_ANY = Conditions(bandwidth_bps=1e6, rtt_s=0.0)  # costs hang on none


@dataclass(frozen=True)
class _Course:
    """What a sample does under one candidate, in the mean.

    ``leave_s`` is what samples that leave at exits add to the mean latency, ``stays`` the share of
    the others. One of these takes ``device_s`` until it is encoded, then so many bytes with the
    request's own and ``server_s``, or else ``rest_s`` on the device.
    """

    row: int
    leave_s: float
    stays: float
    device_s: float
    size_bytes: float
    server_s: float
    rest_s: float

    def least_s(self, stretch: float) -> float:
        """Return the mean latency over a link and server that take no time."""
        return (self.leave_s + self.stays * self.device_s) * stretch

    def latency_s(self, future: Future, deadline_s: float) -> float:
        """Return the mean latency; what no answer comes to in time, the device ends by itself."""
        stretch = future.device_stretch
        encoded_s, here_s = self.device_s * stretch, (self.device_s + self.rest_s) * stretch
        sent_s = here_s
        if future.reachable:
            away_s = future.away_s(encoded_s, self.size_bytes, self.server_s)
            sent_s = min(encoded_s + away_s, max(deadline_s, here_s))
        return self.leave_s * stretch + self.stays * sent_s


@dataclass(frozen=True)
class _Courses:
    """The courses of which one is best whatever comes: one that sends nothing, and others.

    Those others stand in the order of their least latency.
    """

    alone: _Course | None
    sent: tuple[_Course, ...]


_KNOWN: WeakKeyDictionary[Planner, Callable[[Objective], _Courses]] = WeakKeyDictionary()


def best_foreseen(
    planner: Planner, objective: Objective, futures: Sequence[Future], *, alone: bool = False
) -> Plan:
    """Return the plan of least mean latency over all that comes, of those accurate enough.

    If none is, of the most accurate. It sends nothing if the device is to answer ``alone``, or if
    there is never a connection. Besides the accuracy floor and the deadline, at which the device
    answers what no one else has, an objective changes nothing.
    """
    alone |= not any(future.reachable for future in futures)
    courses = _courses_of(planner)(objective)
    best, least_s = courses.alone, np.inf
    if best is not None:
        least_s = sum(best.least_s(future.device_stretch) for future in futures)
    slack_s = sum(future.device_stretch for future in futures)
    for course in () if alone and best is not None else courses.sent:
        if course.least_s(1.0) * slack_s >= least_s:
            break  # those that follow take at least as long
        taken_s = sum(course.latency_s(future, objective.latest_s) for future in futures)
        if best is None or taken_s < least_s:
            best, least_s = course, taken_s
    assert best is not None
    return planner.plan_of(best.row)


def _courses_of(planner: Planner) -> Callable[[Objective], _Courses]:
    """Return what finds the courses for an objective, and keeps them."""
    if planner not in _KNOWN:
        # Not the planner itself, which would then be kept by what it keeps.
        _KNOWN[planner] = lru_cache(maxsize=8)(partial(_find_courses, ref(planner)))
    return _KNOWN[planner]


def _find_courses(of: ref[Planner], objective: Objective) -> _Courses:
    planner = of()
    assert planner is not None
    accuracy = planner.accuracy(hedged=False)
    floor = min(planner.accuracy_floor(objective), float(accuracy.max()))
    costs = planner.forecast(_ANY).costs
    c = costs.candidates
    leave_s = (c.exit_shares * costs.exit_s).sum(axis=1)
    stays = 1.0 - c.exit_shares.sum(axis=1)
    sent_bytes = c.bytes_mean / np.maximum(c.sent_share, _EXACT) + FRAME_OVERHEAD_BYTES
    points = np.stack(
        [leave_s, stays, costs.device_s, sent_bytes, costs.server_s, costs.rest_s], axis=1
    )
    accurate, sends = accuracy >= floor - _EXACT, c.sends & (c.sent_share > 0)

    def course(row: int) -> _Course:
        return _Course(row, *(float(value) for value in points[row]))

    here = np.flatnonzero(accurate & ~sends)
    there = np.flatnonzero(accurate & sends)
    kept = there[undercut_by_none(points[there])]
    alone_s = leave_s + stays * costs.device_s
    sent = sorted(map(course, kept.tolist()), key=lambda one: one.least_s(1.0))
    alone = course(int(here[alone_s[here].argmin()])) if len(here) else None
    return _Courses(alone, tuple(sent))

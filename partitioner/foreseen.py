"""The best plan for what comes: the measure that all who cannot know it are held against.

Of what a sample does under a plan only what the plan says is known, its shares and mean bytes: not
whether this sample leaves at an exit. What it takes of the device beyond the time at which the next
one comes, that one waits, and it counts as well; who waits in turn for that one is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from weakref import WeakKeyDictionary, ref

import numpy as np
from numpy.typing import NDArray

from partitioner.conditions import Conditions
from partitioner.costs import FRAME_OVERHEAD_BYTES, Costs
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

    ``ends`` has the times at which the device is free again, at exits and behind them, each with
    its share. ``leave_s`` is what samples that leave at exits add to the mean latency, ``stays``
    the share of the others. One of these takes ``device_s`` until it is encoded or answered, then
    so many bytes with the request's own and ``server_s``, or else ``rest_s`` on the device.
    """

    row: int
    ends: tuple[tuple[float, float], ...]
    leave_s: float
    stays: float
    device_s: float
    size_bytes: float
    server_s: float
    rest_s: float

    @property
    def least_s(self) -> float:
        """The mean latency on a device that nothing slows, with all that is sent answered at once.

        Nobody waits for it.
        """
        return self.leave_s + self.stays * self.device_s

    def cost_s(self, future: Future, deadline_s: float, *, alone: bool) -> float:
        """Return the mean latency, and the time that the next sample waits.

        What no answer comes to in time, the device ends by itself; all of it, if it is ``alone``.
        """
        stretch, gap_s = future.device_stretch, future.gap_s
        waits_s = sum(share * max(end_s * stretch - gap_s, 0.0) for end_s, share in self.ends)
        if alone:
            return self.least_s * stretch + waits_s
        return self._latency_s(future, deadline_s) + waits_s

    def _latency_s(self, future: Future, deadline_s: float) -> float:
        stretch = future.device_stretch
        encoded_s, here_s = self.device_s * stretch, (self.device_s + self.rest_s) * stretch
        sent_s = here_s
        if future.reachable:
            away_s = future.away_s(encoded_s, self.size_bytes, self.server_s)
            sent_s = min(encoded_s + away_s, max(deadline_s, here_s))
        return self.leave_s * stretch + self.stays * sent_s


@dataclass(frozen=True)
class _Courses:
    """The courses of which one is best whatever comes: some send nothing, the others do.

    Both stand in the order of their least latency.
    """

    alone: tuple[_Course, ...]
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
    best, least_s = None, np.inf
    stretches = sum(future.device_stretch for future in futures)
    for group, here in ((courses.alone, True), (courses.sent, False)):
        if not here and alone and best is not None:
            break
        for course in group:
            if course.least_s * stretches >= least_s:
                break  # those that follow take at least as long
            cost_s = sum(course.cost_s(each, objective.latest_s, alone=here) for each in futures)
            if best is None or cost_s < least_s:
                best, least_s = course, cost_s
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
        return _Course(row, _ends(costs, row), *points[row].tolist())

    def courses(rows: NDArray[np.int64], used: int) -> tuple[_Course, ...]:
        """Return those that no other undercuts in the first points, the quickest first."""
        kept = rows[undercut_by_none(points[rows, :used])] if len(rows) else rows
        return tuple(sorted(map(course, kept.tolist()), key=lambda one: one.least_s))

    here, there = np.flatnonzero(accurate & ~sends), np.flatnonzero(accurate & sends)
    return _Courses(courses(here, 3), courses(there, points.shape[1]))


def _ends(costs: Costs, row: int) -> tuple[tuple[float, float], ...]:
    """Return when the device is free again under a candidate, and for what share of samples."""
    shares = costs.candidates.exit_shares[row].tolist()
    ends = [*zip(costs.exit_s[row].tolist(), shares, strict=True)]
    ends.append((float(costs.device_s[row]), 1.0 - sum(shares)))
    return tuple((end_s, share) for end_s, share in ends if share > 0)

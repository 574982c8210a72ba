"""Merging: whether samples wait for others that are on their way to the same step."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple, TypeVar

from edge_server.scheduling.cost_curve import Parts
from edge_server.scheduling.schedule import Schedule
from edge_server.scheduling.step_costs import StepCosts

__all__ = ["place_to_run"]

T = TypeVar("T")


def place_to_run(
    schedule: Schedule[T], costs: StepCosts, now_s: float, patience_s: float
) -> Hashable:
    """Return the place whose samples a worker takes next; there has to be one that waits.

    That is where the earliest deadline waits, unless it pays to let others that come there first
    catch up, so that both take the rest of the way together. With ``n`` samples here and ``m``
    there, whose way here takes ``d``, merging makes each of the ``n`` later by ``d + m * each`` and
    each of the ``m``, and of all others that wait, earlier by the fixed cost of the way from here:
    it pays where it takes less time of all together (algorithm of the merge rule:
    docs/design/2026-11-24-edge-server.md). The first of those here may not become late
    by it.
    """
    first = schedule.first()
    assert first is not None
    behind = [place for place in schedule.places if first.place in costs.onward(place)]
    if not behind:
        return first.place
    here, best = _group(schedule, costs, first.place, patience_s), (0.0, first.place)
    most, room_s = costs.most(first.place, patience_s), first.deadline_s - now_s
    for place in behind:
        there = _group(schedule, costs, place, patience_s)
        fits = here.size + there.size <= here.way.fitting(most, room_s - there.time_to_s(here))
        saved_s = there.saved_s(here, len(schedule)) if fits else 0.0
        best = max(best, (saved_s, place), key=lambda one: one[0])
    return best[1]


class _Group(NamedTuple):
    """Samples at a place that go on as one, and what the rest of their way takes."""

    size: int
    way: Parts

    def time_to_s(self, here: _Group) -> float:
        """Return how long these take to come to another place."""
        return self.way.time_s(self.size) - here.way.time_s(self.size)

    def saved_s(self, here: _Group, waiting: int) -> float:
        """Return how much less time all who wait spend if these catch up with those ``here``."""
        later_s = self.time_to_s(here) + here.way.each_s * self.size
        return (waiting - here.size) * here.way.fixed_s - here.size * later_s


def _group(schedule: Schedule[T], costs: StepCosts, place: Hashable, patience_s: float) -> _Group:
    size = min(schedule.count(place), costs.most(place, patience_s))
    return _Group(size, costs.to_end(place))

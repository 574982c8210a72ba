"""Whether samples wait for others that are on their way: against both orders, played through."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge_server.scheduling.merging import place_to_run
from edge_server.scheduling.schedule import Schedule
from edge_server.scheduling.step_costs import Step, StepCosts


def learnt(*parts: tuple[float, float]) -> StepCosts:
    costs = StepCosts()
    for at in reversed(range(len(parts))):
        for size in (1, 32) * 60:
            going = size * (at + 1 < len(parts))
            costs.observe(Step(at, size, parts[at][0] + parts[at][1] * size, at + 1, going))
    return costs


def waiting(*places: int, deadline_s: float = 10.0) -> Schedule[str]:
    """Return a schedule where they wait by these places, the first one's deadline first."""
    schedule: Schedule[str] = Schedule()
    for place in places:
        schedule.add(schedule.entry("sample", deadline_s, place))
    return schedule


def test_one_waits_for_another_where_launches_cost_more_than_the_way() -> None:
    dear_launches, dear_samples = learnt((0.1, 0.1), (5.0, 0.1)), learnt((0.1, 5.0), (5.0, 5.0))
    assert place_to_run(waiting(1, 0, deadline_s=99), dear_launches, 0.0, math.inf) == 0
    assert place_to_run(waiting(1, 0, deadline_s=99), dear_samples, 0.0, math.inf) == 1
    assert place_to_run(waiting(1, 1, 1), dear_launches, 0.0, math.inf) == 1


def test_nobody_waits_who_would_be_late_or_whom_nobody_can_catch_up_with() -> None:
    costs = learnt((0.1, 0.1), (5.0, 0.1))
    assert place_to_run(waiting(1, 0, deadline_s=5.3), costs, 0.0, math.inf) == 1
    assert place_to_run(waiting(0, 1, deadline_s=99), costs, 0.0, math.inf) == 0
    assert place_to_run(waiting(1, 7, deadline_s=99), costs, 0.0, math.inf) == 1


def test_nobody_waits_for_more_than_go_as_one() -> None:
    costs = learnt((1.0, 0.01), (5.0, 0.1))
    assert place_to_run(waiting(1, *[0] * 31, deadline_s=99), costs, 0.0, math.inf) == 0
    assert place_to_run(waiting(1, *[0] * 32, deadline_s=99), costs, 0.0, math.inf) == 1


_TIMES = st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0])


@given(
    parts=st.tuples(*[st.tuples(_TIMES, _TIMES)] * 2),
    here=st.integers(1, 4),
    there=st.integers(1, 4),
    others=st.integers(0, 3),
)
def test_it_pays_by_the_time_that_all_spend_waiting(
    parts: tuple[Any, ...], here: int, there: int, others: int
) -> None:
    """The samples ``here`` run step 1, those ``there`` steps 0 and 1, the others wait elsewhere."""
    (catch_fixed, catch_each), (fixed, each) = parts
    assume(each > 0 and fixed + catch_fixed > 0)
    costs = learnt(*parts)
    alone, catch_up = fixed + each * here, catch_fixed + catch_each * there
    apart = alone + catch_up + fixed + each * there
    merged = catch_up + fixed + each * (here + there)
    apart_all = here * alone + (there + others) * apart
    merged_all = (here + there + others) * merged
    assume(abs(apart_all - merged_all) > 0.2)
    schedule = waiting(*[1] * here, *[0] * there, *[9] * others, deadline_s=1e9)
    assume(here + there <= costs.most(1, math.inf) and there <= costs.most(0, math.inf))
    expected = 0 if merged_all < apart_all else 1
    assert place_to_run(schedule, costs, 0.0, math.inf) == expected


def test_the_costs_of_the_property_are_learnt_exactly() -> None:
    assert learnt((0.1, 0.5), (3.0, 1.0)).to_end(0) == pytest.approx((3.1, 1.5), rel=1e-3)

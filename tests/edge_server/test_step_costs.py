"""What is left of the way from each place, by what steps have taken."""

from __future__ import annotations

import math

import pytest

from edge_server.scheduling.step_costs import Step, StepCosts


def chain(
    costs: StepCosts, *parts: tuple[float, float], sizes: tuple[int, ...] = (1, 2, 4)
) -> None:
    """Teach the steps of places 0, 1, ..., the last one first."""
    for at in reversed(range(len(parts))):
        fixed_s, each_s = parts[at]
        for size in sizes * 20:
            going = size * (at + 1 < len(parts))
            costs.observe(Step(at, size, fixed_s + each_s * size, at + 1, going))


def test_the_rest_of_the_way_is_the_sum_of_its_steps() -> None:
    costs = StepCosts()
    chain(costs, (0.1, 0.01), (0.2, 0.02), (0.3, 0.03))
    for at, expected in enumerate([(0.6, 0.06), (0.5, 0.05), (0.3, 0.03)]):
        assert costs.to_end(at) == pytest.approx(expected, rel=0.02)
    assert costs.step(1) == pytest.approx((0.2, 0.02), rel=0.02)
    assert list(costs.onward(0)) == [1, 2]
    assert list(costs.onward(2)) == list(costs.onward(7)) == []
    assert costs.to_end(7) == costs.step(7) == (0, 0)


def test_who_has_not_begun_costs_what_is_beside_the_steps_too() -> None:
    costs = StepCosts()
    chain(costs, (0.1, 0.01))
    for _ in range(80):
        costs.observe_beside(0, 0.005)
    assert costs.to_end(0).each_s == pytest.approx(0.01)
    assert costs.to_end(0, begun=False).each_s == pytest.approx(0.015)


def test_those_who_leave_on_the_way_cost_nothing_behind() -> None:
    """Half of the samples leave behind step 0."""
    costs = StepCosts()
    chain(costs, (0.1, 0.01), (0.2, 0.02))
    for _ in range(200):
        costs.observe(Step(0, 4, 0.14, 1, 2))
    assert costs.to_end(0) == pytest.approx((0.3, 0.02), rel=0.05)


def test_segments_that_run_as_one_from_now_on_are_another_step() -> None:
    """What was measured of segment 0 alone says nothing about the level of all three as one."""
    costs = StepCosts()
    chain(costs, (0.1, 0.01), (0.2, 0.02), (0.3, 0.03))
    for _ in range(60):
        costs.observe(Step(0, 1, 0.5, 3, 0))
    assert costs.to_end(0).time_s(1) == pytest.approx(0.5, rel=0.01)
    assert costs.to_end(0).fixed_s > 0.4  # divided as the segment alone was
    assert list(costs.onward(0)) == []


def test_batches_leave_those_who_come_next_half_of_their_patience() -> None:
    costs = StepCosts()
    chain(costs, (0.045, 0.01), sizes=(1, 32))
    assert costs.most(0, math.inf) == 32
    assert costs.most(0, 0.42) == 16
    assert costs.most(0, 0.22) == 6
    # With less patience a batch takes twice its fixed cost: half of the engine is not given away.
    assert costs.most(0, 0.1) == costs.most(0, 0.001) == 4
    assert costs.most(7, math.inf) == 1


def test_what_has_left_is_forgotten() -> None:
    costs = StepCosts()
    chain(costs, (0.1, 0.01), (0.2, 0.02))
    costs.keep(lambda place: place == 1)
    assert costs.to_end(0) == (0, 0)
    assert costs.to_end(1) != (0, 0)

"""The budget for computing on, under virtual time."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.hedge import Hedge, HedgeSettings, patience_s
from partitioner.power import Power

DRAWS = Power(name="x", source="dice", idle_w=1, compute_w=4)


def test_what_is_spent_comes_back_with_time():
    hedge = Hedge(0.2)  # a second is saved up at most
    assert hedge.is_open(0.0)
    hedge.spend(0.6)
    assert hedge.is_open(0.0)
    hedge.spend(0.5)
    assert not hedge.is_open(0.0)
    assert not hedge.is_open(2.9)  # less than half a second is saved
    assert hedge.is_open(3.1)
    assert hedge.is_open(1e6)
    hedge.spend(1.1)
    assert not hedge.is_open(1e6)  # no more than one second was saved


def test_without_a_share_there_is_none():
    hedge = Hedge(0.0)
    assert not hedge.is_open(0.0)
    assert not hedge.is_open(1e9)


@pytest.mark.parametrize(
    ("limits", "power", "share"),
    [
        ({}, DRAWS, 0.5),
        ({"max_cpu_share": 0.0}, DRAWS, 0.0),
        ({"max_cpu_share": 0.5}, DRAWS, 0.5),
        ({"max_cpu_share": 0.5, "max_w": 1.0}, DRAWS, 0.25),
        ({"max_cpu_share": 0.5, "max_w": 100.0}, DRAWS, 0.5),
        ({"max_cpu_share": 0.5, "max_w": 1.0}, None, 0.5),
    ],
)
def test_the_stricter_of_two_limits_holds(limits, power, share):
    assert HedgeSettings(**limits).share(power) == share


@given(
    share=st.floats(0.01, 1.0),
    steps=st.lists(st.tuples(st.floats(0.0, 2.0), st.floats(0.0, 0.5)), max_size=50),
)
def test_in_the_long_run_no_more_than_the_share_is_spent(share, steps):
    hedge, now_s, spent_s, longest_s = Hedge(share), 0.0, 0.0, 0.0
    hedge.is_open(0.0)
    for wait_s, step_s in steps:
        now_s += wait_s
        if hedge.is_open(now_s):
            hedge.spend(step_s)
            spent_s, longest_s = spent_s + step_s, max(longest_s, step_s)
    assert spent_s <= share * (now_s + 5.0) + longest_s + 1e-9


def test_it_pays_to_compute_on_the_later_the_longer_a_step_and_the_more_samples_come():
    assert patience_s(0.0, 0.5, 1.0) == patience_s(0.1, 0.5, 0.0) == 0.0
    assert patience_s(0.1, 0.5, 2.0) == pytest.approx(0.5 / 9)
    waits_s = [patience_s(step_s, 0.5, 2.0) for step_s in (0.01, 0.1, 0.5, 5.0)]
    assert waits_s == sorted(waits_s)
    assert waits_s[-1] == pytest.approx(4.5)  # at most nine times what is left to compute


def test_what_is_won_and_lost_by_a_step_are_equal_where_it_begins_to_pay():
    """Answers of Pareto's delays, of index 1, played through: a step's gain against its cost."""
    dice, step_s, rest_s, rate_hz = random.Random(3), 0.08, 0.4, 2.0
    late_s = patience_s(step_s, rest_s, rate_hz)
    first = sum(late_s / (1 - dice.random()) - late_s > rest_s for _ in range(200_000)) / 200_000
    held_up_s = rate_hz * step_s * step_s / 2
    assert first * step_s == pytest.approx(held_up_s, rel=0.03)

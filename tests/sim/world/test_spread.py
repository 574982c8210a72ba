"""Spreads give back the quantiles that they are made of."""

from statistics import quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from offramp.errors import ConfigError
from offramp.settings import Settings, build_settings
from sim.world.spread import Draws, Spread


class Timed(Settings):
    time_s: Spread


def test_a_number_is_a_time_that_does_not_spread():
    assert TypeAdapter(Spread).validate_python(0.002) == (0.002,)
    draws = Draws((0.002,), "seed")
    assert [draws.next_s() for _ in range(3)] == [0.002] * 3


def test_draws_have_the_quantiles():
    draws = Draws((0.0, 0.001, 0.002, 0.004, 0.1), "seed")
    drawn = [draws.next_s() for _ in range(20_000)]
    assert quantiles(drawn, n=4) == pytest.approx([0.001, 0.002, 0.004], rel=0.05)
    assert min(drawn) >= 0.0
    assert 0.09 < max(drawn) <= 0.1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20).map(sorted), st.text())
def test_draws_stay_within_and_follow_from_the_seed(times_s, seed):
    draws, again = (Draws(tuple(times_s), seed) for _ in range(2))
    drawn = [draws.next_s() for _ in range(20)]
    assert drawn == [again.next_s() for _ in range(20)]
    slack = 1e-12
    assert all(times_s[0] - slack <= time_s <= times_s[-1] + slack for time_s in drawn)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ([], "at least 1"),
        ([0.002, 0.001], "0.001 follows 0.002"),
        (-1, "at least 0"),
        ("x", "number"),
    ],
)
def test_what_is_no_spread_is_refused(wrong, why):
    with pytest.raises(ConfigError, match=why):
        build_settings(Timed, {"time_s": wrong}, "file")

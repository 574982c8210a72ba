"""When the next sample is to be expected, under virtual time."""

import math
from random import Random

from device.rhythm import Rhythm


def test_an_even_rhythm_tells_when_the_next_comes():
    rhythm = Rhythm(10.0)
    assert rhythm.regular
    assert rhythm.next_s() == -math.inf
    for at in range(20):
        rhythm.arrived(at * 0.1 + 0.003 * (at % 3))
    assert rhythm.regular
    assert abs(rhythm.next_s() - 2.0) < 0.01
    assert abs(rhythm.next_s(3) - 2.2) < 0.01


def test_poisson_arrivals_are_not_regular_and_become_so_when_they_are():
    rhythm, random, now_s = Rhythm(10.0), Random(0), 0.0
    for _ in range(50):
        rhythm.arrived(now_s := now_s + random.expovariate(10.0))
    assert not rhythm.regular
    for _ in range(30):
        rhythm.arrived(now_s := now_s + 0.1)
    assert rhythm.regular


def test_where_samples_come_when_asked_for_or_no_more_none_is_expected():
    asked, ended = Rhythm(None), Rhythm(5.0)
    ended.arrived(0.0)
    ended.end()
    for rhythm in (asked, ended):
        rhythm.arrived(1.0)
        assert rhythm.regular
        assert rhythm.next_s() == math.inf

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
    assert rhythm.unevenness == 0.0


def test_unevenness_is_the_squared_coefficient_of_variation():
    for squared, shape in ((1.0, 1.0), (0.25, 4.0)):
        rhythm, random, now_s, seen = Rhythm(10.0), Random(0), 0.0, []
        for at in range(3000):
            rhythm.arrived(now_s := now_s + random.gammavariate(shape, 0.1 / shape))
            if at > 100:
                seen.append(rhythm.unevenness)
        assert abs(sum(seen) / len(seen) / squared - 1) < 0.15


def test_a_long_pause_does_not_pass_for_the_way_samples_come():
    rhythm, random, now_s = Rhythm(10.0), Random(0), 0.0
    for _ in range(200):
        rhythm.arrived(now_s := now_s + random.expovariate(10.0))
    before = rhythm.unevenness
    rhythm.arrived(now_s + 3600)
    assert rhythm.unevenness < before + 2


def test_where_samples_come_when_asked_for_or_no_more_none_is_expected():
    asked, ended = Rhythm(None), Rhythm(5.0)
    ended.arrived(0.0)
    ended.end()
    for rhythm in (asked, ended):
        rhythm.arrived(1.0)
        assert rhythm.regular
        assert rhythm.next_s() == math.inf

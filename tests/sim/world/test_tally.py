"""The histogram's error, and sums of tallies."""

import random

import pytest

from sim.world.histogram import Histogram
from sim.world.tally import Tally, total


def test_quantiles_are_right_to_a_quarter_of_a_percent():
    dice = random.Random(3)
    times_s = sorted(dice.lognormvariate(-3, 1.5) for _ in range(20_000))
    histogram = Histogram()
    for time_s in times_s:
        histogram.add(time_s)
    for q in (0.01, 0.5, 0.95, 0.99, 0.999, 1.0):
        exact_s = times_s[max(round(q * len(times_s)) - 1, 0)]
        assert histogram.quantile_s(q) == pytest.approx(exact_s, rel=0.0026)
    assert histogram.mean_s == pytest.approx(sum(times_s) / len(times_s))


def test_its_memory_does_not_grow_with_the_number_of_times():
    histogram = Histogram()
    for number in range(100_000):
        histogram.add(0.001 + (number % 977) * 1e-3)
    assert len(histogram.steps()) < 1400
    assert sum(count for _, count in histogram.steps()) == 100_000


def test_of_nothing_there_is_no_mean():
    summary = Tally().summary()
    assert summary["mean_s"] is None
    assert summary["p95_s"] is None
    assert summary["accuracy"] is None


def test_a_total_is_the_sum_of_its_parts():
    one, other = Tally(), Tally()
    one.answered(0.1, "server", "ok", right=True, late=False)
    other.answered(0.3, "exit 0", "degraded", right=False, late=True)
    other.unanswered("dropped")
    summary = total([one, other]).summary()
    assert summary["requests"] == 3
    assert summary["mean_s"] == pytest.approx(0.2)
    assert summary["late"] == 2
    assert summary["accuracy"] == 0.5
    assert summary["right_share"] == pytest.approx(1 / 3)
    assert summary["answers"] == {"exit 0": 1, "server": 1}
    assert summary["statuses"] == {"degraded": 1, "dropped": 1, "ok": 1}

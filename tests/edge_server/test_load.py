from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_server.load import LoadMeter, RecentMean
from offramp.messages import Load


def test_readings_at_one_moment_give_their_plain_mean() -> None:
    mean = RecentMean(2.0)
    for reading in (1.0, 2.0, 6.0):
        mean.add(reading, 10.0)
    assert mean.value == mean.faded(10.0) == 3.0


def test_older_readings_count_less_by_the_time_constant() -> None:
    mean = RecentMean(2.0)
    mean.add(1.0, 0.0)
    mean.add(0.0, 2.0)
    assert mean.value == pytest.approx(math.exp(-1) / (1 + math.exp(-1)))


def test_silence_fades_what_is_reported_but_not_the_mean() -> None:
    mean = RecentMean(2.0)
    assert (mean.value, mean.faded(5.0)) == (0.0, 0.0)
    mean.add(0.4, 10.0)
    faded = [round(mean.faded(10.0 + age_s), 4) for age_s in (0.0, 2.0, 4.0, 100.0)]
    assert faded == [0.4, 0.1472, 0.0541, 0.0]
    assert mean.value == 0.4


def test_many_readings_outlast_a_short_silence() -> None:
    mean = RecentMean(2.0)
    for _ in range(100):
        mean.add(0.4, 10.0)
    assert mean.faded(12.0) == pytest.approx(0.4)


@given(
    readings=st.lists(st.tuples(st.floats(0, 10), st.floats(0, 5)), min_size=1, max_size=30),
    age_s=st.floats(0, 100),
)
def test_means_stay_between_the_extremes(readings: list[tuple[float, float]], age_s: float) -> None:
    mean, now_s = RecentMean(), 0.0
    for reading, wait_s in readings:
        now_s += wait_s
        mean.add(reading, now_s)
    lowest, highest = min(r for r, _ in readings), max(r for r, _ in readings)
    assert lowest - 1e-9 <= mean.value <= highest + 1e-9
    assert 0 <= mean.faded(now_s + age_s) <= mean.value + 1e-9


def test_meter_reports_queue_and_service_apart() -> None:
    meter = LoadMeter()
    meter.started(0.02, 1.0)
    meter.finished(0.3, 1.3)
    assert meter.service_s == 0.3
    assert meter.load(queued=3, running=1, cpu_share=0.5, now_s=1.0) == Load(3, 1, 0.02, 0.5)

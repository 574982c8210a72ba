from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_server.scheduling.congestion import Traffic
from edge_server.scheduling.load import Arrivals, LoadMeter, RecentLevel, RecentSpread
from offramp.messages import Load


def test_a_level_is_forgotten_by_the_time_constant() -> None:
    level = RecentLevel(2.0)
    assert level.mean(5.0) == 0.0
    level.set(0.4, 10.0)
    assert level.mean(10.0) == 0.0
    assert level.mean(12.0) == pytest.approx(0.4 * (1 - 1 / math.e))
    level.set(0.0, 40.0)
    faded = [round(level.mean(40.0 + age_s), 4) for age_s in (0.0, 2.0, 4.0, 100.0)]
    assert faded == [0.4, 0.1472, 0.0541, 0.0]


@given(
    levels=st.lists(st.tuples(st.floats(0, 10), st.floats(0, 5)), min_size=1, max_size=30),
    age_s=st.floats(0, 100),
)
def test_a_mean_over_time_is_the_sum_over_what_held(
    levels: list[tuple[float, float]], age_s: float
) -> None:
    mean, now_s, held = RecentLevel(), 0.0, []
    for level, for_s in levels:
        mean.set(level, now_s)
        held.append((level, now_s, now_s + for_s))
        now_s += for_s
    end_s = now_s + age_s
    held.append((levels[-1][0], now_s, end_s))
    expected = sum(
        level * (math.exp(-(end_s - to) / 2.0) - math.exp(-(end_s - at) / 2.0))
        for level, at, to in held
    )
    assert mean.mean(end_s) == pytest.approx(expected, abs=1e-9)


def test_what_is_told_is_the_wait_of_who_comes_at_random() -> None:
    """One worker, requests at random, each as long as the others: Pollaczek and Khinchine's."""
    dice, meter, service_s, rate_hz = random.Random(1), LoadMeter(), 0.02, 35.0
    now_s = free_s = 0.0
    ends: list[float] = []
    told, waited = [], []
    for _ in range(40_000):
        now_s += dice.expovariate(rate_hz)
        for end_s in [end for end in ends if end <= now_s]:
            ends.remove(end_s)
            meter.finished(service_s, end_s)
            meter.changed(max(len(ends) - 1, 0), min(len(ends), 1), end_s)
        waited.append(max(free_s - now_s, 0.0))
        free_s = max(free_s, now_s) + service_s
        ends.append(free_s)
        meter.changed(len(ends) - 1, 1, now_s)
        told.append(meter.load(0, 0, 0.0, now_s).queue_s)
    busy = rate_hz * service_s
    assert sum(waited) / len(waited) == pytest.approx(busy * service_s / 2 / (1 - busy), rel=0.1)
    assert sum(told) / len(told) == pytest.approx(sum(waited) / len(waited), rel=0.1)


def test_once_nobody_waits_it_is_told_within_seconds_however_many_have() -> None:
    meter = LoadMeter()
    for at in range(1000):
        meter.finished(0.1, at * 0.01)
        meter.changed(20, 1, at * 0.01)
    assert meter.load(20, 1, 0.0, 10.0).queue_s > 1.5
    meter.changed(0, 0, 10.0)
    assert meter.load(0, 0, 0.0, 20.0).queue_s < 0.02


def test_meter_reports_queue_and_service_apart() -> None:
    meter = LoadMeter(workers=2)
    meter.finished(0.3, 1.3)
    meter.changed(3, 2, 1.3)
    assert meter.service_s == 0.3
    assert meter.load(queued=3, running=2, cpu_share=0.5, now_s=1000.0) == Load(3, 2, 0.525, 0.5)
    meter.changed(0, 1, 1000.0)
    assert meter.load(0, 1, 0.5, 2000.0).queue_s == pytest.approx(0.0, abs=1e-9)


def test_spread_is_that_of_readings_at_one_moment() -> None:
    spread = RecentSpread()
    assert (spread.mean, spread.scv, spread.weight(1.0)) == (0.0, 0.0, 0.0)
    for reading in (1.0, 2.0, 6.0):
        spread.add(reading, 10.0)
    assert spread.mean == 3.0
    assert spread.scv == pytest.approx(14 / 27)
    assert spread.weight(12.0) == pytest.approx(3 / math.e)


@pytest.mark.parametrize("period_s", [0.02, 0.5, 3.0])
def test_even_arrivals_have_their_rate_and_no_spread(period_s: float) -> None:
    arrivals = Arrivals()
    now_s = 0.0
    for number in range(2000):
        now_s = number * period_s
        arrivals.add(now_s)
    assert arrivals.rate_hz(now_s) == pytest.approx(1 / period_s, rel=0.02)
    assert arrivals.scv == pytest.approx(0.0, abs=1e-6)


def test_poisson_arrivals_have_their_rate_and_spread() -> None:
    arrivals, rng, now_s = Arrivals(100.0), random.Random(3), 0.0
    for _ in range(50_000):
        now_s += rng.expovariate(40.0)
        arrivals.add(now_s)
    assert arrivals.rate_hz(now_s) == pytest.approx(40.0, rel=0.05)
    assert arrivals.scv == pytest.approx(1.0, abs=0.1)


def test_two_at_once_after_a_pause_are_no_flood() -> None:
    arrivals = Arrivals()
    arrivals.add(100.0)
    assert arrivals.rate_hz(100.0) == 0.0
    arrivals.add(100.0)
    assert arrivals.rate_hz(100.0) == 0.5


@pytest.mark.parametrize("pause_s", [5.0, 3600.0])
def test_after_a_pause_the_rate_is_learnt_in_seconds(pause_s: float) -> None:
    arrivals, now_s = Arrivals(), 0.0
    for at in range(1000):
        arrivals.add(now_s)
        now_s += pause_s if at == 799 else 0.02
    assert arrivals.rate_hz(now_s) == pytest.approx(50.0 * (1 - math.exp(-2)), rel=0.05)
    now_s += pause_s
    arrivals.add(now_s)
    assert arrivals.rate_hz(now_s) == 0.0


def crowd(meter: LoadMeter, rate_hz: float, service_s: float, until_s: float) -> list[float]:
    """Let Poisson requests come that take equal times, and return the prices after each."""
    rng, now_s, prices_s = random.Random(11), 0.0, []
    while now_s < until_s:
        now_s += rng.expovariate(rate_hz)
        meter.arrived(now_s)
        meter.finished(service_s, now_s)
        prices_s.append(meter.load(0, 0, 0.0, now_s).price_s)
    return prices_s


def test_price_of_a_crowd_is_that_of_its_traffic() -> None:
    prices_s = crowd(LoadMeter(time_constant_s=100.0), 50.0, 0.01, 1000.0)
    assert prices_s[-1] == pytest.approx(Traffic(50.0, 0.01).price_s, rel=0.1)
    noisy_s = sorted(crowd(LoadMeter(), 50.0, 0.01, 1000.0))
    assert noisy_s[len(noisy_s) // 2] == pytest.approx(0.01, rel=0.1)
    assert noisy_s[len(noisy_s) // 20] > 0.005
    assert noisy_s[-len(noisy_s) // 20] < 0.025


def test_more_workers_ask_less() -> None:
    alone, four = (crowd(LoadMeter(workers), 80.0, 0.01, 60.0)[-1] for workers in (1, 4))
    assert 0 < four < alone / 20


def test_price_fades_when_nobody_comes() -> None:
    meter = LoadMeter()
    crowd(meter, 80.0, 0.01, 60.0)
    prices_s = [meter.load(0, 0, 0.0, 60.1 + age_s).price_s for age_s in (0, 1, 2, 5, 20, 1e6)]
    assert prices_s == sorted(prices_s, reverse=True)
    assert prices_s[0] > 0.02
    assert prices_s[3] < 0.001
    assert prices_s[-1] == 0.0


def test_a_flood_has_a_finite_price() -> None:
    meter = LoadMeter()
    assert crowd(meter, 1000.0, 0.01, 20.0)[-1] == pytest.approx(1.9, rel=0.2)


def test_one_even_device_on_a_busy_server_is_in_nobodys_way() -> None:
    meter = LoadMeter()
    for number in range(1000):
        meter.arrived(number * 0.02)
        meter.finished(0.015, number * 0.02 + 0.015)
    assert meter.traffic(20.0).utilisation > 0.7
    assert meter.load(0, 0, 0.0, 20.0).price_s == pytest.approx(0.0, abs=1e-6)

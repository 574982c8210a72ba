"""The price against queues that are played through, request by request."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_server.scheduling.congestion import MOST_UTILISATION, Traffic

SERVICE_S = 0.01
SCV = {"equal": 0.0, "exponential": 1.0, "two kinds": 0.81, "long ones": 2.0}


def service_times(kind: str, count: int, seed: int) -> list[float]:
    """Draw service times of mean `SERVICE_S` whose squared variation is that of `SCV`."""
    rng = np.random.default_rng(seed)
    drawn = {
        "equal": np.ones(count),
        "exponential": rng.exponential(1.0, count),
        "two kinds": rng.choice([0.1, 1.9], count),
        "long ones": rng.gamma(0.5, 2.0, count),
    }
    found: list[float] = (SERVICE_S * drawn[kind]).tolist()
    return found


def waits(gaps_s: list[float], services_s: list[float]) -> list[float]:
    """Return how long each request waits for one worker.

    Lindley's recursion: the sums of service less gap, above the least of them so far.
    """
    more_s = np.array(services_s[:-1]) - np.array(gaps_s[1:])
    sums_s = np.concatenate([[0.0], np.cumsum(more_s)])
    found: list[float] = (sums_s - np.minimum.accumulate(sums_s)).tolist()
    return found


def poisson_gaps(rate_hz: float, count: int, seed: int) -> list[float]:
    found: list[float] = np.random.default_rng(seed).exponential(1 / rate_hz, count).tolist()
    return found


@pytest.mark.parametrize("kind", SCV)
@pytest.mark.parametrize("rate_hz", [20.0, 50.0, 75.0])
def test_wait_and_price_are_what_the_whole_loses_by_more_requests(
    kind: str, rate_hz: float
) -> None:
    """d(lambda W)/d lambda by a finite difference, with the same draws on both of its sides."""
    count, step = 300_000, 0.02
    services_s, lost = service_times(kind, count, 1), {}
    for more in (1 - step, 1 + step):
        mean_s = sum(waits(poisson_gaps(rate_hz * more, count, 2), services_s)) / count
        lost[more] = rate_hz * more * mean_s
    slope_s = (lost[1 + step] - lost[1 - step]) / (2 * step * rate_hz)
    traffic = Traffic(rate_hz, SERVICE_S, SCV[kind])
    assert traffic.wait_s + traffic.price_s == pytest.approx(slope_s, rel=0.06)
    mean_s = sum(lost.values()) / (2 * rate_hz)
    assert traffic.wait_s == pytest.approx(mean_s, rel=0.04)


@pytest.mark.parametrize("kind", SCV)
def test_price_is_what_one_more_request_adds_to_the_others(kind: str) -> None:
    count, rate_hz, tries = 100_000, 60.0, 8_000
    services_s, gaps_s = service_times(kind, count, 3), poisson_gaps(rate_hz, count, 4)
    waits_s, arrivals_s = waits(gaps_s, services_s), np.cumsum(gaps_s)
    rng = np.random.default_rng(5)
    added_s = 0.0
    for service_s in service_times(kind, tries, 6):
        now_s = rng.uniform(arrivals_s[0], 0.99 * arrivals_s[-1])
        at = int(np.searchsorted(arrivals_s, now_s))
        ahead_s = max(waits_s[at - 1] + services_s[at - 1] - (now_s - arrivals_s[at - 1]), 0.0)
        wait_s = max(ahead_s + service_s - (arrivals_s[at] - now_s), 0.0)
        while wait_s > waits_s[at] and at + 1 < count:
            added_s += wait_s - waits_s[at]
            wait_s = max(wait_s + services_s[at] - gaps_s[at + 1], 0.0)
            at += 1
    expected_s = Traffic(rate_hz, SERVICE_S, SCV[kind]).price_s
    assert expected_s == pytest.approx(added_s / tries, rel=0.1)


def erlang_wait_s(rate_hz: float, service_s: float, workers: int) -> float:
    """Return the mean wait for one of several workers with exponential service: Erlang's C."""
    offered = rate_hz * service_s
    last = offered**workers / math.factorial(workers) * workers / (workers - offered)
    others = sum(offered**k / math.factorial(k) for k in range(workers))
    return last / (others + last) * service_s / (workers - offered)


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("utilisation", [0.7, 0.8, 0.9])
def test_several_workers_come_near_to_erlangs_queue(workers: int, utilisation: float) -> None:
    rate_hz, step = utilisation * workers / SERVICE_S, 1e-4
    lost = [
        rate_hz * more * erlang_wait_s(rate_hz * more, SERVICE_S, workers)
        for more in (1 - step, 1, 1 + step)
    ]
    slope_s = (lost[2] - lost[0]) / (2 * step * rate_hz)
    traffic = Traffic(rate_hz, SERVICE_S, 1.0, workers=workers)
    near = 1e-6 if workers == 1 else 0.1
    assert traffic.wait_s == pytest.approx(lost[1] / rate_hz, rel=near)
    assert traffic.price_s == pytest.approx(slope_s - lost[1] / rate_hz, rel=near)


TRAFFIC = st.builds(
    Traffic,
    rate_hz=st.floats(0, 1e6),
    service_s=st.floats(0, 60),
    service_scv=st.floats(0, 100),
    arrival_scv=st.floats(0, 1),
    workers=st.integers(1, 64),
)


@given(traffic=TRAFFIC, factor=st.floats(1, 10))
def test_price_is_finite_and_never_falls_with_the_rate(traffic: Traffic, factor: float) -> None:
    assert 0 <= traffic.utilisation <= MOST_UTILISATION
    assert 0 <= traffic.wait_s <= traffic.price_s * (1 + 1e-9) < math.inf
    more = traffic._replace(rate_hz=traffic.rate_hz * factor)
    assert traffic.price_s <= more.price_s * (1 + 1e-9)


def test_requests_of_equal_length_at_known_rates() -> None:
    """M/D/1 in closed form: W = rho s / (2 (1 - rho)), l W' = rho s / (2 (1 - rho)^2)."""
    traffic = Traffic(50.0, SERVICE_S)
    assert traffic.wait_s == pytest.approx(0.005)
    assert traffic.price_s == pytest.approx(0.01)
    flooded = Traffic(1e9, SERVICE_S)
    assert flooded.price_s == pytest.approx(190 * SERVICE_S)
    assert Traffic(0.0, SERVICE_S).price_s == Traffic(50.0, 0.0).price_s == 0.0


def test_devices_that_count_the_price_together_lose_least() -> None:
    """Of 90 samples a second each takes 60 ms on its device, or 10 ms and the wait at the server.

    Counting only themselves, devices send until the server is no better than the device; with the
    price, until the time of all together is least.
    """
    rates_hz = np.linspace(0.0, 90.0, 1801)
    sent = [Traffic(rate_hz, SERVICE_S) for rate_hz in rates_hz.tolist()]
    total_s = [t.rate_hz * (t.wait_s + SERVICE_S) + (90 - t.rate_hz) * 0.06 for t in sent]
    selfish = [t.wait_s + SERVICE_S < 0.06 for t in sent]
    counting = [t.wait_s + t.price_s + SERVICE_S < 0.06 for t in sent]
    best = int(np.argmin(total_s))
    assert all(counting[:best])
    assert not any(counting[best + 1 :])
    assert all(selfish)
    assert total_s[best] < 0.8 * total_s[-1]

from __future__ import annotations

import pytest

from edge_server.security.clients import Client
from edge_server.security.rate_limits import RateLimits

USUAL, SLOW = Client("usual"), Client("slow", rate_hz=0.5)


def test_a_second_may_come_at_once_and_then_as_many_as_the_rate_says() -> None:
    limits = RateLimits(4.0)
    assert [limits.take(10.0, USUAL) for _ in range(5)] == pytest.approx([0, 0, 0, 0, 0.25])
    assert limits.take(10.1, USUAL) == pytest.approx(0.15)
    assert limits.take(10.25, USUAL) == 0
    assert limits.take(10.25, USUAL) == pytest.approx(0.25)
    assert [limits.take(99.0, USUAL) for _ in range(5)].count(0) == 4


def test_a_client_has_the_rate_that_is_its_own_and_one_message_at_least() -> None:
    limits = RateLimits(4.0)
    assert [limits.take(0.0, SLOW) for _ in range(2)] == pytest.approx([0, 2.0])
    assert limits.take(0.0, USUAL) == 0
    assert limits.take(2.0, SLOW) == 0


def test_over_any_time_no_more_come_than_the_rate_and_a_burst() -> None:
    limits, allowed = RateLimits(50.0), 0
    for tick in range(10_000):
        allowed += limits.take(tick * 1e-3, USUAL) == 0
    assert 50 * 10 <= allowed <= 50 * 11


def test_clients_without_end_take_no_more_memory() -> None:
    limits = RateLimits(1000.0)
    for number in range(20_000):
        limits.take(number * 1e-3, Client(f"{number}"))
    assert len(limits._spent_until_s) <= 4096

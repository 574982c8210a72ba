from __future__ import annotations

import pytest

from edge_server.scheduling.retry_times import LONGEST_S, RetryTimes
from edge_server.security.clients import Client

A, B = Client("a"), Client("b")


def test_those_who_are_refused_come_back_one_by_one() -> None:
    retries = RetryTimes()
    told = [retries.next_s(1.0, A, 0.02, 0.005) for _ in range(4)]
    assert told == pytest.approx([0.02, 0.025, 0.03, 0.035])
    assert retries.next_s(1.0, B, 0.02, 0.005) == pytest.approx(0.02)  # waits for none of a's
    assert retries.next_s(2.0, A, 0.0, 0.005) == pytest.approx(0.005)
    assert RetryTimes().next_s(0.0, A, 0.0, 0.0) == 0.001  # nothing measured yet


def test_a_flood_is_spread_over_the_longest_time_again_and_again() -> None:
    retries = RetryTimes()
    told = [retries.next_s(0.0, A, 0.1, 0.01) for _ in range(1000)]
    assert max(told) <= LONGEST_S
    assert told.count(0.1) == 1000 // 191 + 1
    assert retries.next_s(0.0, A, 60.0, 0.01) == 60.0  # what is sure to take longer


def test_clients_without_end_take_no_more_memory() -> None:
    retries = RetryTimes()
    for number in range(20_000):
        retries.next_s(number, Client(f"{number}"), 0.1, 0.01)
    assert len(retries._next_s) <= 4096

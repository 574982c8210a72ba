from __future__ import annotations

import math

import pytest

from edge_server.scheduling.fair_shares import TIME_CONSTANT_S, FairShares
from edge_server.security.clients import Client

A, HEAVY = Client("a"), Client("heavy", weight=4.0)


def test_what_a_client_has_had_fades_and_counts_by_its_weight() -> None:
    shares = FairShares()
    assert shares.had_s(0.0, A) == 0
    for client in (A, HEAVY):
        shares.charge(1.0, client, 0.8)
    assert (shares.had_s(1.0, A), shares.had_s(1.0, HEAVY)) == pytest.approx((0.8, 0.2))
    assert shares.had_s(1.0 + TIME_CONSTANT_S, A) == pytest.approx(0.8 / math.e)


def test_what_is_given_back_was_never_had() -> None:
    shares = FairShares()
    shares.charge(0.0, A, 0.5)
    shares.charge(0.0, A, -0.5)
    assert shares.had_s(0.0, A) == 0
    shares.charge(0.0, A, -0.5)  # it has faded since it was charged
    shares.charge(0.0, A, 0.1)
    assert shares.had_s(0.0, A) == pytest.approx(0.1)


def test_strangers_without_end_push_out_none_who_has_had_much() -> None:
    shares = FairShares()
    shares.charge(0.0, A, 10.0)
    for number in range(20_000):
        shares.charge(number * 1e-4, Client(f"stranger {number}"), 1e-3)
    assert shares.had_s(2.0, A) == pytest.approx(10.0 / math.e)
    assert len(shares._had) <= 4096

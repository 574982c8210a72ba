"""Costs by one matrix are those that the demands spell out, whatever the conditions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from partitioner.conditions import Conditions
from partitioner.demands import Bill, Demands

AMOUNTS = arrays(np.float64, (8, 7), elements=st.floats(0, 2))


@settings(deadline=None)
@given(
    amounts=AMOUNTS,
    hedged=st.booleans(),
    vain=st.sampled_from([0.0, 0.01, 0.5, 1.0]),
    price_s=st.floats(0, 1),
    unevenness=st.sampled_from([0.0, 1.0, 4.0]),
    stretch=st.floats(0.1, 5),
)
def test_a_bill_is_what_the_demands_come_to(
    amounts: Any, hedged: bool, vain: float, price_s: float, unevenness: float, stretch: float
) -> None:
    amounts[3] *= 1e5  # bytes
    amounts[5] = 0.0  # in the mean the link is as expected
    demands = Demands(*amounts)
    now = Conditions(
        2e6,
        0.03,
        queue_s=0.01,
        device_stretch=stretch,
        server_stretch=1.3,
        price_s=price_s,
        hedged=hedged,
        vain_share=vain,
        rate_hz=0.3,
        unevenness=unevenness,
    )
    assert Bill(demands).cost_s(now) == pytest.approx(demands.cost_s(now), rel=1e-9)


def test_where_the_device_does_not_hold_the_rest_only_the_server_counts() -> None:
    demands = Demands(*np.array([[0.1], [1.0], [0.02], [1000.0], [1e9], [0.0], [0.01], [0.0]]))
    now = Conditions(8e6, 0.03, hedged=True)
    assert Bill(demands).cost_s(now) == pytest.approx([0.1 + 0.03 + 0.02 + 0.001 + 1e-4])


def test_what_is_answered_first_here_all_the_same_costs_the_rest() -> None:
    demands = Demands(*np.array([[0.1], [1.0], [0.0], [0.0], [0.2], [0.0], [0.01], [0.0]]))
    for vain, expected_s in ((0.0, 0.15), (0.5, 0.225), (1.0, 0.3)):
        now = Conditions(8e6, 0.05, hedged=True, vain_share=vain)
        assert demands.latency_s(now) == pytest.approx([expected_s])


def test_a_servers_price_is_paid_for_what_is_sent_in_vain_as_well() -> None:
    demands = Demands(*np.array([[0.1], [0.5], [0.0], [0.0], [0.1], [0.0], [0.0], [0.0]]))
    for vain, rtt_s in ((0.0, 0.05), (1.0, 0.05), (0.0, 9.0)):
        now = Conditions(8e6, rtt_s, hedged=True, vain_share=vain)
        priced = replace(now, price_s=0.2)
        assert demands.cost_s(priced) - demands.cost_s(now) == pytest.approx([0.5 * 0.2])


def test_what_is_answered_here_all_the_same_keeps_the_device_busy() -> None:
    """Samples one after the other: 4 ms each, and 12 ms more for those sent in vain."""
    demands = Demands(*np.array([[4e-3], [1.0], [1e-3], [0.0], [12e-3], [0.0], [0.0], [0.0]]))
    dice = np.random.default_rng(2)
    for vain in (0.0, 0.25, 1.0):
        busy_s = np.where(dice.random(20_000) < vain, 16e-3, 4e-3).mean()
        now = Conditions(8e6, 1e-3, hedged=True, vain_share=vain, device_stretch=2.0)
        assert demands.period_s(now) == pytest.approx([2 * busy_s], rel=0.02)
        assert demands.period_s(replace(now, hedged=False)) == pytest.approx([8e-3])

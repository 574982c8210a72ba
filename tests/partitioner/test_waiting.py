"""Samples that come unevenly wait for the device: as long as in a queue that is played through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from partitioner.conditions import Conditions
from partitioner.demands import Demands
from partitioner.forecast import Forecast

COUNT = 200_000
SURE = Conditions(5e6, 0.03)


def _waits(gaps_s: NDArray[Any], device_s: NDArray[Any]) -> NDArray[Any]:
    """Return how long each sample waits for the device, one after the other (Lindley)."""
    steps = np.concatenate([[0.0], (device_s - gaps_s)[:-1]]).cumsum()
    waits: NDArray[Any] = steps - np.minimum.accumulate(steps)
    return waits


def _alone(device_s: NDArray[Any]) -> Demands:
    """Return the demands of samples that the device answers, each after so long."""
    none = np.zeros(1)
    mean, square = np.array([device_s.mean()]), np.array([(device_s**2).mean()])
    return Demands(mean, none, none, none, none, none, square, none)


@pytest.mark.parametrize("busy", [0.3, 0.7, 0.9])
@pytest.mark.parametrize("exits", [0.0, 0.5])
def test_at_random_the_mean_wait_is_that_of_a_queue(busy: float, exits: float) -> None:
    dice = np.random.default_rng(4)
    device_s = np.where(dice.random(COUNT) < exits, 0.02, 0.1)
    rate_hz = busy / device_s.mean()
    waits_s = _waits(dice.exponential(1 / rate_hz, COUNT), device_s)
    now, demands = replace(SURE, rate_hz=rate_hz, unevenness=1.0), _alone(device_s)
    assert demands.wait_s(now)[0] == pytest.approx(waits_s.mean(), rel=0.1)


def test_evenly_nothing_waits_for_a_device_that_keeps_up() -> None:
    demands = _alone(np.full(10, 0.1))
    assert demands.wait_s(replace(SURE, rate_hz=9.0)) == 0.0


def test_a_device_that_does_not_keep_up_waits_long_and_not_for_ever() -> None:
    demands = _alone(np.full(10, 0.1))
    waits_s = [
        demands.wait_s(replace(SURE, rate_hz=rate_hz, unevenness=1.0))[0]
        for rate_hz in (5.0, 9.0, 12.0, 100.0)
    ]
    assert waits_s == sorted(waits_s)
    assert 1.0 < waits_s[2] < waits_s[3] < 1000.0


def test_what_was_sent_and_is_answered_here_all_the_same_keeps_the_device_busy() -> None:
    sent = Demands(*np.array([[0.01], [1.0], [0.0], [1000.0], [0.09], [0.0], [1e-4], [0.0099]]))
    here = _alone(np.full(10, 0.1))
    now = replace(SURE, rate_hz=7.0, unevenness=1.0, hedged=True)
    assert sent.wait_s(now)[0] < 0.1 * here.wait_s(now)[0]
    vain = replace(now, vain_share=1.0)
    assert sent.wait_s(vain)[0] == pytest.approx(here.wait_s(vain)[0])


def test_where_samples_come_unevenly_the_device_begins_after_the_answer_is_late() -> None:
    sent = Demands(*np.array([[0.01], [1.0], [0.0], [0.0], [0.09], [0.0], [0.0], [0.0]]))
    even = replace(SURE, rtt_s=0.2, rate_hz=1.0, hedged=True)
    for vain, evenly_s, unevenly_s in ((0.0, 0.1, 0.21), (0.5, 0.1, 0.255), (1.0, 0.1, 0.3)):
        now = replace(even, vain_share=vain)
        assert sent.latency_s(now) == pytest.approx([evenly_s])
        uneven = replace(now, unevenness=1.0)
        assert sent.raced_s(uneven, vain) == pytest.approx([unevenly_s])


def test_waiting_counts_in_means_and_not_in_tails(world: Callable[..., Any]) -> None:
    it = world(5)
    costs = it.planner.forecast(SURE).costs
    busiest_s = costs.mean.device_s.max()
    evenly = replace(SURE, rate_hz=0.8 / busiest_s)
    even, uneven = (Forecast(costs, replace(evenly, unevenness=c)) for c in (0.0, 1.0))
    waits_s = costs.mean.wait_s(uneven.conditions)
    assert waits_s.max() > waits_s.min() > 0
    np.testing.assert_allclose(uneven.mean_s - even.mean_s, waits_s)
    np.testing.assert_allclose(uneven.cost_s - even.cost_s, waits_s)
    np.testing.assert_allclose(uneven.quantile_s(0.99), even.quantile_s(0.99))
    np.testing.assert_allclose(uneven.late_share(busiest_s), even.late_share(busiest_s))

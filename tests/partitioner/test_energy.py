"""Energy of plans that send a part of the samples: against the simulator and a radio by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from partitioner.conditions import Conditions
from partitioner.forecast import Forecast
from partitioner.power import Power
from sim.world.energy import energy_j

PHONE = Power(
    name="phone",
    source="made up",
    idle_w=1.0,
    compute_w=2.0,
    radio_w=3.0,
    radio_up_w=1.0,
    radio_tail_s=2.0,
)
SHARES = (0.05, 0.2, 0.45, 1.0)
COUNT = 2000


def _sending(it: Any, now: Conditions, share: float) -> Forecast:
    """Return the forecast of one plan without exits, as if such a share of the samples left."""
    costs = it.planner.forecast(now).costs
    c = costs.candidates
    row = np.flatnonzero(c.sends & (c.sent_share == 1.0))[:1]
    costs = replace(costs.select(row), power=PHONE)
    shares = np.zeros_like(costs.candidates.exit_shares)
    shares[:, 0] = 1.0 - share
    some = replace(
        costs.candidates,
        exit_shares=shares,
        sent_share=np.array([share]),
        bytes_mean=costs.candidates.bytes_mean * share,
    )
    return Forecast(replace(costs, candidates=some), now)


def _radio_up_s(now: Conditions, sent_s: float, away_s: float, share: float) -> float:
    """Return for how long the radio is up but does not send, a sample: every 1/share-th is sent."""
    starts_s = np.arange(COUNT * share) / share * now.interval_s
    ends_s = np.minimum(
        starts_s + away_s + PHONE.radio_tail_s, np.append(starts_s[1:], COUNT * now.interval_s)
    )
    return float((ends_s - starts_s - sent_s).sum()) / COUNT


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("rate_hz", [0.01, 1.0, 5.0])
def test_a_plan_takes_what_the_simulator_says_of_it_and_a_radio_by_hand(
    world: Callable[..., Any], share: float, rate_hz: float
) -> None:
    now = Conditions(2e6, 0.03, rate_hz=rate_hz)
    forecast = _sending(world(5), now, share)
    demands = forecast.costs.mean
    sending_s = float(demands.uplink_bytes[0] * 8 / now.bandwidth_bps)
    away_s = float(demands.away_s(now)[0])
    figures = {
        "requests": COUNT,
        "sent": COUNT * share,
        "probes": 0,
        "device_s": COUNT * float(demands.device_s[0]),
        "sending_s": COUNT * sending_s,
        "waiting_s": COUNT * away_s,
        "probe_waiting_s": 0.0,
    }
    told_j = float(forecast.energy_j[0])
    assert energy_j(figures, PHONE, now.interval_s) / COUNT == pytest.approx(told_j, rel=1e-9)
    up_s = _radio_up_s(now, sending_s / share, away_s / share, share)
    by_hand_j = 2.0 * demands.device_s[0] + 3.0 * sending_s + up_s
    assert told_j == pytest.approx(by_hand_j, rel=1e-6)


def test_samples_sent_at_random_take_no_more_than_is_told(world: Callable[..., Any]) -> None:
    now = Conditions(2e6, 0.03, rate_hz=2.0)
    gaps_s = np.random.default_rng(3).geometric(0.2, 4000) / now.rate_hz
    forecast = _sending(world(5), now, 0.2)
    away_s = float(forecast.costs.mean.away_s(now)[0]) / 0.2
    up_s = np.minimum(away_s + PHONE.radio_tail_s, gaps_s).mean() * 0.2
    sending_s = float(forecast.costs.mean.uplink_bytes[0] * 8 / now.bandwidth_bps)
    drawn_j = 2.0 * forecast.costs.mean.device_s[0] + 2.0 * sending_s + up_s
    assert drawn_j < forecast.energy_j[0] < 1.6 * drawn_j

"""Measures and the hedge against following every sample by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.errors import ConfigError, PlanError
from partitioner.conditions import Conditions
from partitioner.costs import FRAME_OVERHEAD_BYTES
from partitioner.measures import MEASURES, get_measure, get_quantile, limit_name
from partitioner.objective import Limits, Objective
from partitioner.planner import Planner
from partitioner.power import Power

SEEDS = st.integers(0, 2**32 - 1)
MODEST = settings(max_examples=15, deadline=None)


@MODEST
@given(seed=SEEDS, percent=st.sampled_from([5, 50, 90, 99, 99.9]), deadline_s=st.floats(1e-3, 0.3))
def test_a_hedged_sample_takes_the_quicker_of_two_ways(
    world: Callable[..., Any],
    weather: Callable[..., Conditions],
    seed: int,
    percent: float,
    deadline_s: float,
) -> None:
    it, now = world(seed), replace(weather(seed), hedged=True)
    forecast, alone = it.planner.forecast(now), it.planner.forecast(replace(now, hedged=False))
    quantile_s, late = forecast.quantile_s(percent / 100), forecast.late_share(deadline_s)
    c = it.candidates
    for row in range(len(c)):
        active = it.bundle.manifest.exits_before(int(c.cut[row]))
        thresholds = tuple(float(t) for t in c.thresholds[row, :active])
        o = it.follow(int(c.cut[row]), c.level[row], thresholds, now)
        assert quantile_s[row] == pytest.approx(o.quantile_s(percent), abs=1e-9)
        if min(abs(t - deadline_s) for t in o.latencies) > 1e-9:
            assert late[row] == pytest.approx(o.miss_share(deadline_s), abs=1e-9)
        # Of the sizes only their mean counts, so where some are hedged the mean is an upper bound.
        assert o.mean_s - 1e-9 <= forecast.mean_s[row] <= alone.mean_s[row] + 1e-9


def test_a_link_that_is_gone_costs_a_hedged_sample_what_the_device_takes(
    world: Callable[..., Any],
) -> None:
    it = world(11)
    here = it.planner.forecast(Conditions(1e6, 1e6, hedged=True))
    for row in np.flatnonzero(it.candidates.sends & (it.candidates.sent_share > 0)):
        rest_s = it.device.between_s(int(it.candidates.cut[row]), 3)
        assert here.quantile_s(1.0)[row] == pytest.approx(
            here.costs.device_s[row] + rest_s, abs=1e-9
        )


@MODEST
@given(seed=SEEDS)
def test_measures_are_sums_over_the_samples(
    world: Callable[..., Any], weather: Callable[..., Conditions], draws: Power, seed: int
) -> None:
    it, now = world(seed), weather(seed)
    planner = Planner(it.bundle, it.candidates, it.device.drawing(draws), it.server)
    found = {name: m.values(planner.forecast(now), 0.05) for name, m in MEASURES.items()}
    c, manifest = it.candidates, it.bundle.manifest
    for row in range(len(c)):
        cut, level = int(c.cut[row]), c.level[row]
        thresholds = tuple(float(t) for t in c.thresholds[row, : manifest.exits_before(cut)])
        o = it.follow(cut, level, thresholds, now)
        key = f"{cut}/{level}"
        server_s, uplink_bytes = 0.0, 0.0
        if level is not None:
            tail_s = it.server.tail[cut].median_s + it.server.decode[key].median_s
            server_s = o.sent_share * tail_s * now.server_stretch
            uplink_bytes = o.bytes_mean + o.sent_share * FRAME_OVERHEAD_BYTES
        away_s = server_s + o.sent_share * (now.rtt_s + now.queue_s)
        link_s = 8 * uplink_bytes / now.bandwidth_bps
        device_s = o.mean_s - away_s - link_s
        expected = {
            "mean": o.mean_s,
            "p95": o.p95_s,
            "server": server_s,
            "uplink": uplink_bytes,
            "period": max(device_s, link_s, server_s),
            "energy": 5 * device_s + 2 * link_s + 0.5 * away_s,
        }
        for name, value in expected.items():
            assert found[name][row] == pytest.approx(value, rel=1e-9, abs=1e-9), name
    assert set(found) == {*expected, "late", "memory"}


def test_computing_on_while_an_answer_is_under_way_takes_energy(
    world: Callable[..., Any], draws: Power
) -> None:
    it, now = world(11), Conditions(1e6, 0.01)
    planner = Planner(it.bundle, it.candidates, it.device.drawing(draws), it.server)
    mean = planner.forecast(now).costs.mean
    alone, hedged = (planner.forecast(replace(now, hedged=h)).energy_j for h in (False, True))
    extra_s = np.minimum(mean.away_s(now), mean.rest_s)
    np.testing.assert_allclose(hedged - alone, 5 * extra_s, atol=1e-12)
    assert (extra_s > 0).any()


def test_energy_without_figures_is_refused(world: Callable[..., Any]) -> None:
    with pytest.raises(PlanError, match="offramp profile --power"):
        world(1).planner.best(Objective(minimise="energy"), Conditions(1e6, 0.01))


def test_every_limit_is_one_of_a_measure() -> None:
    for name in Limits.model_fields:
        measure = get_measure(name.rpartition("_")[0])
        assert limit_name(measure) == name
    assert Limits(p99_s=0.1, uplink_bytes=500).given() == {"p99": 0.1, "uplink": 500.0}
    missing = {limit_name(m) for m in MEASURES.values()} - set(Limits.model_fields)
    assert missing == {"late_share"}  # that one is max_miss_share


def test_a_quantile_may_be_any_from_p1_to_p99_9() -> None:
    assert get_measure("p99.9").definition == "latency of all samples but 0.1%"
    assert get_measure("p50").unit == "s"
    assert get_measure("p95") is MEASURES["p95"]
    assert get_quantile("p1") == 0.01
    for wrong in ("p0", "p0.5", "p99.95", "p100", "p950"):
        with pytest.raises(ConfigError, match=f"'{wrong}'; quantiles go from p1 to p99.9"):
            get_measure(wrong)
    for wrong in ("q95", "p", "p9x"):
        with pytest.raises(ConfigError, match=f"unknown measure '{wrong}'; "):
            get_measure(wrong)


def test_objectives_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown measure 'median'"):
        Objective(minimise="median")
    with pytest.raises(ValueError, match="needs a deadline_s"):
        Objective(minimise="late")
    with pytest.raises(ValueError, match=r"limits.uplink_byte\n  unknown key"):
        Objective(limits={"uplink_byte": 1})
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        Objective(limits={"p99_s": -1})


@pytest.mark.parametrize("vain", [0.02, 0.3, 1.0])
def test_of_samples_in_vain_a_plan_has_as_many_as_it_sends(
    world: Callable[..., Any], vain: float
) -> None:
    it = world(11)
    good = Conditions(1e9, 1e-4, hedged=True)
    now = replace(good, tail_vain_share=vain)
    sent = it.candidates.sent_share
    costs, without = it.planner.forecast(now).costs, it.planner.forecast(good)
    rows = np.flatnonzero((sent > 0.1) & (sent < 0.6))
    assert len(rows)
    for row in rows:
        here_s = float(costs.device_s[row] + costs.rest_s[row])
        late_s = here_s - 1e-4  # the server has answered by then, the device has not
        expected = max(without.late_share(late_s)[row], vain * sent[row])
        assert it.planner.forecast(now).late_share(late_s)[row] == pytest.approx(expected)
        for share in (0.5, 0.7, 0.95, 0.99):
            quantile_s = it.planner.forecast(now).quantile_s(share)[row]
            if vain * sent[row] > 1 - share:
                assert quantile_s == pytest.approx(here_s)
            else:
                assert quantile_s == without.quantile_s(share)[row]

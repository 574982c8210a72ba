"""Latencies: quantiles are one of what was seen, and what is left out is what tallies leave out."""

from __future__ import annotations

from random import Random
from typing import Literal

import pytest

from benchmarks.strategies_latencies import Latencies
from device.work import Finish, Work
from sim.world.histogram import Histogram
from sim.world.processor import Held

FROM_S = 5.0


def add(
    found: Latencies,
    latencies_s: list[float],
    arrived_s: float = FROM_S,
    by: Literal["", "device", "server"] = "device",
) -> None:
    for number, latency_s in enumerate(latencies_s):
        finish = Finish(Work(number, arrived_s, arrived_s + 1), "ok", by)
        found.watch("device/0", arrived_s + latency_s, finish, Held(0))


def test_a_quantile_is_one_of_what_was_seen_even_within_a_bin_of_histograms() -> None:
    near_s = [0.5 + 1e-5 * at for at in range(100)]
    given_s = Random(0).sample(near_s, len(near_s))
    found = Latencies(FROM_S)
    add(found, given_s)
    assert found.quantiles_s() == {
        "p50_s": pytest.approx(near_s[49], abs=1e-12),
        "p95_s": pytest.approx(near_s[94], abs=1e-12),
        "p99_s": pytest.approx(near_s[98], abs=1e-12),
    }
    rough = Histogram()
    for latency_s in given_s:
        rough.add(latency_s)
    assert rough.quantile_s(0.99) != pytest.approx(near_s[98], abs=1e-5)


def test_neither_the_warm_up_nor_what_was_not_answered_counts() -> None:
    found = Latencies(FROM_S)
    add(found, [0.1, 0.3])
    add(found, [9.0] * 10, FROM_S - 0.1)
    add(found, [9.0] * 10, by="")
    assert found.quantiles_s() == pytest.approx({"p50_s": 0.1, "p95_s": 0.3, "p99_s": 0.3})
    assert set(Latencies(FROM_S).quantiles_s().values()) == {None}

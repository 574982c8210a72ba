"""What a mixture of plans brings over one plan where devices share a server, and how long it takes.

Chains are random; the embedded bundle has its own candidates and times measured here, its device
slowed. A single plan is the best one for throughput, or the one of least mean latency, which every
device would choose for itself.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.harness import BUNDLE, tabulate
from offramp.bundle import open_bundle
from offramp.calibration import load_calibration
from offramp.exits.fitted import load_policy
from partitioner.candidates import build_candidates
from partitioner.conditions import Conditions
from partitioner.demands import Floats
from partitioner.measure import measure_profile
from partitioner.mixture import Mixer, Sharing
from partitioner.objective import Objective
from partitioner.planner import Planner
from partitioner.shares import solve

__all__ = ["mix_chains", "mix_embedded"]

DEVICES = (1, 2, 4, 7)
BANDWIDTHS_BPS = (1e6, 5e6, 20e6)
SLOWDOWN, RTT_S = 8.0, 0.02
OBJECTIVE = Objective()
COLUMNS = ("devices, Mbit/s", "mixture", "plans", "every plan above the floor", "best single plan",
           "plan of least latency", "ms")  # fmt: skip


def mix_chains(count: int) -> dict[str, Any]:
    """Mix the cuts of random chains of 3 to 40 operations, 1 to 7 devices to a server.

    The model takes 20 ms on the server, each operation 2 to 20 times as long on the device; its
    input takes 1 to 500 ms to send, and what operations make shrinks.
    """
    dice = np.random.default_rng(12)
    over_single, over_quickest, taken_s, plans = [], [], [], []
    for _ in range(count):
        loads_s, latency_s = _chain(dice)
        scale_s = float(loads_s.max(axis=1).min())
        start = time.perf_counter()
        found = solve(loads_s / scale_s, np.zeros((len(loads_s), 0)), np.zeros(0))
        taken_s.append(time.perf_counter() - start)
        assert found is not None
        plans.append(int(np.count_nonzero(found.shares)))
        over_single.append(1 / found.period - 1)
        quickest_s = float(loads_s[latency_s.argmin()].max())
        over_quickest.append(quickest_s / (found.period * scale_s) - 1)
    gains = {
        "best single plan": _gains(over_single),
        "plan of least latency": _gains(over_quickest),
    }
    p50_ms = float(np.median(taken_s)) * 1e3
    title = f"A mixture's throughput, {count:,} random chains, {p50_ms:.2g} ms each"
    rows = [(name, *(f"{gain:+.1%}" for gain in of.values())) for name, of in gains.items()]
    tabulate(title, ("over", "mean", "p95", "most"), rows)
    return {
        "chains": count,
        "plans": {number: plans.count(number) for number in sorted(set(plans))},
        "over_single": gains["best single plan"],
        "over_quickest": gains["plan of least latency"],
        "p50_ms": p50_ms,
    }


def mix_embedded(rounds: int) -> dict[str, Any]:
    """Mix the embedded bundle's plans for several numbers of devices and bandwidths."""
    bundle = open_bundle(BUNDLE)
    profile = measure_profile(bundle, [("onnxruntime", 1)], rounds=rounds)
    candidates = build_candidates(bundle, load_calibration(bundle), load_policy(bundle))
    planner = Planner(bundle, candidates, profile.slowed(SLOWDOWN), profile)
    floor = planner.accuracy_floor(OBJECTIVE)
    accurate = planner.only("the accuracy floor", lambda c: c.accuracy >= floor)
    cells = [
        _cell(planner, accurate, Conditions(bps, RTT_S), devices)
        for devices in DEVICES
        for bps in BANDWIDTHS_BPS
    ]
    rows = [
        (f"{c['devices']}, {c['bandwidth_bps'] / 1e6:g}", f"{c['mixture_hz']:.1f}", c["plans"],
         *(f"{c[key]:.1f}" for key in ("accurate_hz", "single_hz", "quickest_hz")),
         f"{c['taken_ms']:.0f}")
        for c in cells
    ]  # fmt: skip
    tabulate(f"{bundle.manifest.name}, device {SLOWDOWN:g} times slower: samples a second of each",
             COLUMNS, rows)  # fmt: skip
    return {"slowdown": SLOWDOWN, "floor": floor, "cells": cells}


def _chain(dice: np.random.Generator) -> tuple[Floats, Floats]:
    """Return the seconds of device, link and server of each cut, (C, 3), and its latency, (C,)."""
    count, devices = int(dice.integers(3, 41)), int(dice.integers(1, 8))
    server_s = dice.lognormal(0, 0.7, count)
    server_s *= 0.020 / server_s.sum()
    device_s = server_s * np.exp(dice.uniform(np.log(2), np.log(20), count))
    sent_s = dice.lognormal(0, 0.6, count + 1) * np.exp(-3 * np.arange(count + 1) / count)
    sent_s *= 10 ** dice.uniform(-3, np.log10(0.5)) / sent_s[0]
    sent_s[-1] = 0.0
    device_s, server_s = np.append(0.0, device_s.cumsum()), np.append(0.0, server_s.cumsum())
    tail_s = server_s[-1] - server_s
    loads_s = np.stack([device_s, sent_s, tail_s * devices], axis=1)
    return loads_s, device_s + sent_s + tail_s + RTT_S * (sent_s > 0)


def _cell(planner: Planner, accurate: Planner, now: Conditions, devices: int) -> dict[str, Any]:
    start = time.perf_counter()
    mixer = Mixer(planner, OBJECTIVE, now, Sharing(devices))
    mixture = mixer.best()
    taken_s = time.perf_counter() - start
    alone = mixer.alone()
    assert alone is not None
    return {
        "devices": devices,
        "bandwidth_bps": now.bandwidth_bps,
        "mixture_hz": 1 / mixture.period_s,
        "plans": len(mixture.parts),
        "accurate_hz": 1 / Mixer(accurate, OBJECTIVE, now, Sharing(devices)).best().period_s,
        "single_hz": 1 / alone.period_s,
        "quickest_hz": 1 / mixer.quickest().period_s,
        "taken_ms": taken_s * 1e3,
    }


def _gains(gains: list[float]) -> dict[str, float]:
    return {
        "mean": float(np.mean(gains)),
        "p95": float(np.quantile(gains, 0.95)),
        "most": max(gains),
    }

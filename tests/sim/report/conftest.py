"""Made-up results of a simulation: as the command gathers them, but of known requests."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from sim.world.results import gather_results
from sim.world.tally import Tally, total
from sim.world.timeline import COLUMNS

POWER = {
    "name": "board",
    "source": "made up",
    "idle_w": 1.0,
    "compute_w": 2.0,
    "radio_w": 3.0,
    "radio_up_w": 0.5,
    "radio_tail_s": 0.2,
}


def group(name="cameras", **given):
    return {
        "name": name,
        "count": 2,
        "model": "digits",
        "digest": "ab" * 32,
        "segments": 4,
        "exits": ["early"],
        "processor": "Chip 9",
        "slowdown": 40.0,
        "whole_model_s": 0.12,
        "power": None,
        "server": "edge",
        "link": "preset lte",
        "arrivals": "periodic rate_hz 5",
        "deadline_s": 0.15,
        "objective": {},
        "load": {"steps": [], "repeat_s": None},
        **given,
    }


def setup(*groups, **given):
    return {
        "name": "street",
        "requests": None,
        "duration_s": 60.0,
        "warm_up_s": 5.0,
        "rpc_s": [0.0035],
        "timeline_step_s": 1.0,
        "servers": [
            {
                "name": "edge",
                "workers": 1,
                "queue_length": 64,
                "slowdown": 1.0,
                "load": {"steps": [[30.0, 2.0]], "repeat_s": None},
            }
        ],
        "groups": list(groups or [group()]),
        "clairvoyant": ["static", "oracle"],
        **given,
    }


class Made:
    """Makes runs and results; ``times_s`` are the latencies of a run, None for no answer."""

    group = staticmethod(group)
    setup = staticmethod(setup)
    power = POWER

    def run(
        self, strategy, seed=1, times_s=None, groups=("cameras",), right=0.9, watched=(), **given
    ):
        """Return a run's figures; each group has the same requests, of some a device is watched."""
        dice = Random(f"{strategy}/{seed}")
        if times_s is None:
            times_s = [dice.lognormvariate(-3, 0.7) for _ in range(400)]
        tallies = {name: self.tally(times_s, right, **given) for name in groups}
        return {
            "offramp": "0.1.0",
            "scenario": "street",
            "strategy": strategy,
            "seed": seed,
            "devices": 2 * len(groups),
            "simulated_s": 60.0,
            "total": total(list(tallies.values())).summary(),
            "groups": {name: tally.summary() for name, tally in tallies.items()},
            "servers": {"edge": self.server()},
            "timelines": [self.timeline(f"{name}/0", dice) for name in watched],
        }

    def tally(self, times_s, right, device_s=0.02, sending_s=0.01, status="ok"):
        """Return the tally of requests of which a share is right, and all cost the same."""
        tally = Tally()
        tally.counted_s = 2 * (60.0 - 5.0)
        for at, time_s in enumerate(times_s):
            if time_s is None:
                tally.unanswered("dropped")
                continue
            is_right = (
                at % 1000 < right * 1000 if len(times_s) > 1000 else at < right * len(times_s)
            )
            tally.answered(time_s, "server", status, right=is_right, late=time_s > 0.15)
            tally.sent += 1
            tally.up_bytes += 1000
            tally.device_s += device_s
            tally.sending_s += sending_s
            tally.waiting_s += sending_s + 0.01
        return tally

    def server(self) -> dict[str, Any]:
        """Return a server's totals."""
        return {
            "accepted": 12,
            "refused": 1,
            "expired": 0,
            "answered": 11,
            "busy_s": 6.0,
            "busy_share": 0.1,
            "queue_mean_s": 0.002,
            "batch_sizes": {"1": 4, "2": 2, "3": 1},
        }

    def timeline(self, device, dice=None, steps=60, dark=range(20, 25)):
        """Return a timeline with an outage, in which plans change and nothing ends."""
        dice = dice or Random(device)
        rows = []
        for at in range(steps):
            rate_bps = 0.0 if at in dark else dice.uniform(1e6, 2e7)
            latency_s = None if at in dark else dice.lognormvariate(-3, 0.3)
            row = {
                "at_s": float(at + 1),
                "bandwidth_bps": rate_bps,
                "believed_bps": 8e6,
                "rtt_s": 0.04,
                "believed_rtt_s": 0.05,
                "reachable": at not in dark,
                "cut": None if at == 0 else 4 if at in dark else 1,
                "level": None if at == 0 or at in dark else "affine4",
                "in_flight": 0,
                "finished": 0 if at in dark else 5,
                "late": int(at == 30),
                "latency_mean_s": latency_s,
                "latency_max_s": None if latency_s is None else latency_s * 1.5,
            }
            rows.append([row[name] for name in COLUMNS])
        return {"device": device, "columns": list(COLUMNS), "rows": rows}

    def results(self, *runs, setup=None):
        """Return results of runs, as the command writes them."""
        return gather_results("cd" * 32, setup or self.setup(), runs)


@pytest.fixture(scope="session")
def made():
    return Made()

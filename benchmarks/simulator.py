"""How far the simulator goes: devices, requests, seconds of one core, and memory.

Every row is one run of one strategy and seed in a process of its own: the embedded bundle under
``offramp``, ten requests a second from each device, which is 20 times slower than the machine of
the profile on LTE, where few samples are sent, and 60 times on wifi, where all are, each in some
18 packets. Seconds are those of the processor, which other work on the machine lengthens less than
those on the wall: from the scenario to its figures, the bundle's calibration read before. Memory is
the process's peak, in units of 10^6 bytes. That it does not grow with requests is seen from runs of
two lengths; what it grows by with devices is what each of them takes.

Required: 1,000 devices x 1,000 requests within 180 s of one core. Aim: 10,000 devices.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import finish, parse, tabulate

REQUIRED_S = 180.0
PROFILE = Path(__file__).parent.parent / "examples" / "scenarios" / "profile.json"
SLOWDOWN = {"lte": 20, "wifi": 60}
WORKERS = 64  # as many as take what a thousand devices send

RUN = """
import json, resource, sys, time
from offramp.settings import build_settings
from sim.world.build import build_world
from sim.world.library import Library
from sim.world.scenario import Scenario
from sim.world.tally import total
scenario = build_settings(Scenario, json.loads(sys.argv[1]), "benchmark")
library = Library()
library.planner(scenario.groups[0], scenario.servers[0])
began_s = time.process_time()
world = build_world(scenario, "offramp", 0, library)
world.run()
figures = total(list(world.tallies.values())).summary()
print(json.dumps({
    "processor_s": time.process_time() - began_s,
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    "events": world.clock.happened,
    **{key: figures[key] for key in ("requests", "sent_share", "late_share", "accuracy", "mean_s")},
}))
"""


@dataclass(frozen=True)
class Size:
    """So many devices on one kind of link, each with so many requests."""

    link: str
    devices: int
    requests: int

    def __str__(self) -> str:
        return f"{self.devices:,} x {self.requests:,}, {self.link}"


QUICK = (
    *(Size("lte", 100, requests) for requests in (20, 200)),
    Size("wifi", 100, 100),
    Size("lte", 2_000, 5),
)
WHOLE = (
    *(Size("lte", 1_000, requests) for requests in (100, 1_000)),
    *(Size("wifi", 1_000, requests) for requests in (100, 1_000)),
    *(Size("lte", 10_000, requests) for requests in (10, 100)),
)


def main() -> None:
    options = parse("simulator", __doc__)
    runs = [{**asdict(size), **simulate(size)} for size in (QUICK if options.quick else WHOLE)]
    tabulate(
        "One process on one core",
        ("devices x requests", "sent", "late", "mean ms", "events", "processor s", "us a request",
         "events a s", "peak MB"),
        [_row(run) for run in runs],
    )  # fmt: skip
    finish("simulator", _last_line(runs), {"runs": runs}, options)


def simulate(size: Size) -> dict[str, Any]:
    """Run a scenario of this size in a process of its own; return its figures."""
    command = [sys.executable, "-c", RUN, json.dumps(_scenario(size))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _scenario(size: Size) -> dict[str, Any]:
    return {
        "name": str(size).replace(",", "").replace(" ", "-"),
        "requests": size.requests,
        "servers": [{"profiles": [str(PROFILE)], "workers": WORKERS}],
        "groups": [
            {
                "count": size.devices,
                "profile": str(PROFILE),
                "link": size.link,
                "arrivals": {"kind": "poisson", "rate_hz": 10},
                "agent": {"slowdown": SLOWDOWN[size.link]},
            }
        ],
        "timeline": {"devices": 0},
    }


def _row(run: dict[str, Any]) -> Sequence[object]:
    each_us = run["processor_s"] / run["requests"] * 1e6
    return (
        Size(run["link"], run["devices"], run["requests"] // run["devices"]),
        f"{run['sent_share']:.1%}",
        f"{run['late_share']:.2%}",
        f"{run['mean_s'] * 1e3:.1f}",
        f"{run['events']:,}",
        f"{run['processor_s']:.1f}",
        f"{each_us:.0f}",
        f"{run['events'] / run['processor_s']:,.0f}",
        f"{run['peak_mb']:.0f}",
    )


def _last_line(runs: Sequence[dict[str, Any]]) -> str:
    """Return the largest runs, and what memory grows by with requests and with devices."""
    said = []
    for link in SLOWDOWN:
        million = max((r for r in runs if r["link"] == link), key=lambda r: r["requests"])
        said.append(
            f"{million['requests']:,} requests of {million['devices']:,} devices on {link} in "
            f"{million['processor_s']:.3g} s"
        )
    few, many = (r for r in runs if r["link"] == "lte" and r["devices"] == runs[0]["devices"])
    said.append(
        f"memory {few['peak_mb']:.0f} MB for {few['requests']:,} requests, "
        f"{many['peak_mb']:.0f} for {many['requests']:,}"
    )
    widest = max(runs, key=lambda run: (run["devices"], run["requests"]))
    each_kb = (widest["peak_mb"] - many["peak_mb"]) / (widest["devices"] - many["devices"]) * 1e3
    said.append(f"{widest['devices']:,} devices take {each_kb:.0f} kB each")
    return f"{'; '.join(said)} (required: a million of 1,000 devices within {REQUIRED_S:.0f} s)"


if __name__ == "__main__":
    main()

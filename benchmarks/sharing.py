"""Devices that share one server: latency, load, and whether they herd.

So many devices, cameras out of step, send `cifar10`'s samples to one server of two workers, itself
a slow machine, over Wi-Fi or LTE: with few of them it has time to spare, with many it could not
take what all would send. Simulated with the deployed decision code, under every strategy that a
device could run, and Offramp's own also without the congestion price that the server quotes. Of
several seeds tables tell medians, with the range behind them.

Plans herd if many devices change sides together: the share of devices whose plan sends then varies
more over time than that of devices which decide each for itself.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import pairwise, product
from multiprocessing import get_context
from typing import Any

from benchmarks.harness import Options as Given
from benchmarks.harness import build_parser, finish, tabulate
from benchmarks.sharing_tables import TABLES, median, rows_of
from benchmarks.strategies_scores import missed_share
from benchmarks.strategies_tasks import Task, prepare
from device.heed import Heed
from offramp.settings import build_settings
from partitioner.profile import load_profile
from partitioner.strategies import STRATEGIES
from sim.world.build import build_world
from sim.world.library import Library
from sim.world.scenario import Scenario
from sim.world.server import VirtualServer
from sim.world.tally import total
from sim.world.timeline import COLUMNS

__all__ = ["Case", "Herd", "Unpriced", "herd_of", "offered", "run_case", "scenario"]

TASK, WORKERS, SERVER_SLOWDOWN = "cifar10", 2, 40.0
DEVICES, LINKS = (8, 24, 64), ("wifi", "lte")
OWN, UNPRICED = "offramp", "offramp, no price"
WARM_UP_S, STEP_S = 5.0, 0.5
_ROUNDS = 30


@dataclass(frozen=True)
class Case:
    """A contender, which is a strategy or `UNPRICED`, with so many devices on a kind of link."""

    contender: str
    devices: int
    link: str
    seed: int = 0


@dataclass(frozen=True)
class Unpriced(Heed):
    """The heed of a device to which waits count as ever, but no price that a server quotes."""

    def price_s(self, now_s: float, queue_s: float, price_s: float) -> float:
        """Return the price as if the server had quoted none."""
        return super().price_s(now_s, queue_s, 0.0)


@dataclass(frozen=True)
class Herd:
    """What devices' plans did, seen in the steps of their timelines after the warm-up.

    ``sending`` is the mean share of devices whose plan sends. ``swing`` is the standard deviation
    of that share over time, over what it would be if each device decided for itself: 1 if so, and
    the square root of their number if all always do the same; 0 where it never changes.
    ``plans`` is how many cuts and levels there are at a time; ``changes`` how often a device
    changes them in a minute.
    """

    sending: float
    swing: float
    plans: float
    changes: float


def main() -> None:
    parser = build_parser("sharing", __doc__)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--requests", type=int, help="of each device")
    parser.add_argument("--seeds", type=int, default=1, help="of every case")
    given = parser.parse_args()
    if given.seeds < 1:
        parser.error("--seeds: give at least one")
    requests = given.requests or (60 if given.quick else 200)
    sizes, links = (DEVICES[:2], LINKS[:1]) if given.quick else (DEVICES, LINKS)
    live = [name for name, strategy in STRATEGIES.items() if not strategy.clairvoyant]
    task = prepare(TASK, _ROUNDS)
    seeds = range(given.seeds)
    cases = [Case(*case) for case in product([*live, UNPRICED], sizes, links, seeds)]
    with ProcessPoolExecutor(given.jobs, get_context("spawn")) as pool:
        found = list(pool.map(partial(run_case, task, requests=requests), cases))
    runs = [{**asdict(case), **figures} for case, figures in zip(cases, found, strict=True)]
    for link, devices in product(links, sizes):
        mine = [run for run in runs if (run["link"], run["devices"]) == (link, devices)]
        title = f"{link}, {devices} devices, {offered(task, devices):.2f} of the server if all sent"
        for part, columns in TABLES.items():
            tabulate(f"{title}: {part}", ["", *columns], rows_of(mine, columns))
    finish("sharing", _last_line(runs), {"runs": runs}, Given(given.quick, given.json))


def scenario(task: Task, case: Case, requests: int) -> dict[str, Any]:
    """Return the scenario of a case: all of its devices on one server."""
    return {
        "name": "sharing",
        "requests": requests,
        "warm_up_s": WARM_UP_S,
        "servers": [
            {
                "workers": WORKERS,
                "slowdown": SERVER_SLOWDOWN,
                "profiles": [str(task.profile)],
            }
        ],
        "groups": [
            {
                "count": case.devices,
                "bundle": str(task.bundle),
                "profile": str(task.profile),
                "link": case.link,
                "arrivals": {"kind": "periodic", "rate_hz": 1 / task.period_s},
                "agent": {"slowdown": task.slowdown, "deadline_s": task.deadline_s},
            }
        ],
        "timeline": {"devices": case.devices, "step_s": STEP_S},
    }


def offered(task: Task, devices: int) -> float:
    """Return how busy the server would be if every device sent every input, one by one."""
    whole_s = load_profile(task.profile).main.tail[0].median_s * SERVER_SLOWDOWN
    return devices / task.period_s * whole_s / WORKERS


def run_case(task: Task, case: Case, requests: int) -> dict[str, Any]:
    """Simulate a case; return its figures."""
    settings = build_settings(Scenario, scenario(task, case, requests), "benchmark")
    strategy = OWN if case.contender == UNPRICED else case.contender
    world = build_world(settings, strategy, case.seed, _library())
    if case.contender == UNPRICED:
        for device in world.devices:
            heed = device.controller.heed
            device.controller.heed = Unpriced(heed.spread, heed.phase)
    world.run()
    figures = total(list(world.tallies.values())).summary()
    (server,) = world.servers.values()
    return {
        **{name: figures[name] for name in ("mean_s", "p95_s", "p99_s")},
        "accuracy": figures["right_share"],
        "missed": missed_share(figures, task.late_s),
        "overdue": figures["late_share"],
        **_served(server, max(device.ended_s for device in world.devices)),
        **asdict(herd_of([timeline.to_json() for timeline in world.timelines])),
    }


def _served(server: VirtualServer, ended_s: float) -> dict[str, float]:
    """Return what a server did after the warm-up, as `sim.world.run` counts it."""
    totals = server.totals
    counted_s = max(ended_s, totals.until_s) - WARM_UP_S
    came = totals.accepted + totals.refused
    return {
        "busy": totals.busy_s / (server.workers * counted_s),
        "queue_s": totals.queue_s / totals.answered if totals.answered else 0.0,
        "refused": (totals.refused + totals.expired) / came if came else 0.0,
    }


_library = cache(Library)


def herd_of(timelines: Sequence[dict[str, Any]]) -> Herd:
    """Return what devices' plans did, from a timeline of each."""
    at_s, cut, level = (COLUMNS.index(name) for name in ("at_s", "cut", "level"))
    courses = [
        {row[at_s]: (row[cut], row[level]) for row in one["rows"] if row[at_s] >= WARM_UP_S}
        for one in timelines
    ]
    # Until the first device is done; a long timeline has fewer steps than a short one.
    times_s = [time_s for time_s in courses[0] if all(time_s in course for course in courses)]
    steps = [[course[time_s] for course in courses] for time_s in times_s]
    shares = [statistics.mean(level is not None for _, level in step) for step in steps]
    sending = statistics.mean(shares)
    alone = (sending * (1 - sending) / len(courses)) ** 0.5
    pairs = [pair for course in courses for pair in pairwise(course.items())]
    changed = sum(before != after for (_, before), (_, after) in pairs)
    minutes = sum(end_s - start_s for (start_s, _), (end_s, _) in pairs) / 60
    return Herd(
        sending,
        statistics.pstdev(shares) / alone if alone else 0.0,
        statistics.mean(len(set(step)) for step in steps),
        changed / minutes,
    )


def _last_line(runs: Sequence[dict[str, Any]]) -> str:
    """Say what the price does where there are most devices, in medians over seeds."""
    most = max(run["devices"] for run in runs)
    said = []
    for link in dict.fromkeys(run["link"] for run in runs):
        here = [run for run in runs if (run["link"], run["devices"]) == (link, most)]
        with_price, without = ([r for r in here if r["contender"] == n] for n in (OWN, UNPRICED))
        said.append(
            f"{most} devices on {link}: mean {median(with_price, 'mean_s') * 1e3:.0f} ms with the "
            f"price, {median(without, 'mean_s') * 1e3:.0f} without, swing "
            f"{median(with_price, 'swing'):.1f} and {median(without, 'swing'):.1f}"
        )
    return "; ".join(said)


if __name__ == "__main__":
    main()

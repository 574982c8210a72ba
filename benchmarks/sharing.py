"""Devices that share one server: latency, load, and whether they herd.

So many devices, cameras out of step, send `cifar10`'s samples to one server of two workers, itself
a slow machine, over Wi-Fi or LTE: with few of them it has time to spare, with many it could not
take what all would send. Simulated with the deployed decision code, under every strategy that a
device could run, and Offramp's own also with a server that quotes no congestion price.

Plans herd if many devices change sides together: the share of devices whose plan sends then varies
more over time than that of devices which decide each for itself.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from itertools import pairwise, product
from multiprocessing import get_context
from typing import Any

from benchmarks.harness import Options as Given
from benchmarks.harness import build_parser, finish, tabulate
from benchmarks.strategies_scores import missed_share
from benchmarks.strategies_tasks import Task, prepare
from offramp.messages import Load
from offramp.settings import build_settings
from partitioner.profile import load_profile
from partitioner.strategies import STRATEGIES
from sim.world.library import Library
from sim.world.run import simulate
from sim.world.scenario import Scenario
from sim.world.server import VirtualServer
from sim.world.timeline import COLUMNS

__all__ = ["Case", "Herd", "herd_of", "offered", "run_case", "scenario"]

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


@dataclass(frozen=True)
class Herd:
    """What devices' plans did, seen in steps of `STEP_S` after the warm-up.

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
    given = parser.parse_args()
    requests = given.requests or (60 if given.quick else 200)
    sizes, links = (DEVICES[:2], LINKS[:1]) if given.quick else (DEVICES, LINKS)
    live = [name for name, strategy in STRATEGIES.items() if not strategy.clairvoyant]
    task = prepare(TASK, _ROUNDS)
    cases = [Case(*case) for case in product([*live, UNPRICED], sizes, links)]
    with ProcessPoolExecutor(given.jobs, get_context("spawn")) as pool:
        found = list(pool.map(partial(run_case, task, requests=requests), cases))
    runs = [{**asdict(case), **figures} for case, figures in zip(cases, found, strict=True)]
    for link, devices in product(links, sizes):
        mine = [run for run in runs if (run["link"], run["devices"]) == (link, devices)]
        title = f"{link}, {devices} devices, {offered(task, devices):.2f} of the server if all sent"
        tabulate(title, ["", *_COLUMNS], _rows(mine))
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
    if case.contender == UNPRICED:
        with _no_price():
            found = simulate(settings, OWN, 0, _library())
    else:
        found = simulate(settings, case.contender, 0, _library())
    total, (server,) = found["total"], found["servers"].values()
    return {
        **{name: total[name] for name in ("mean_s", "p95_s", "p99_s", "accuracy")},
        "missed": missed_share(total, task.late_s),
        "overdue": total["late_share"],
        "busy": server["busy_share"],
        "queue_s": server["queue_mean_s"] or 0.0,
        "refused": (server["refused"] + server["expired"]) / total["requests"],
        **asdict(herd_of(found["timelines"])),
    }


_library = cache(Library)


@contextmanager
def _no_price() -> Iterator[None]:
    """Let servers tell of their queue, but of no price."""
    before = VirtualServer.load

    def load(self: VirtualServer) -> Load:
        return replace(before(self), price_s=0.0)

    VirtualServer.load = load  # type: ignore[method-assign]
    try:
        yield
    finally:
        VirtualServer.load = before  # type: ignore[method-assign]


def herd_of(timelines: Sequence[dict[str, Any]]) -> Herd:
    """Return what devices' plans did, from a timeline of each."""
    at_s, cut, level = (COLUMNS.index(name) for name in ("at_s", "cut", "level"))
    courses = [
        [(row[cut], row[level]) for row in one["rows"] if row[at_s] >= WARM_UP_S]
        for one in timelines
    ]
    steps = list(zip(*courses, strict=False))  # until the first device is done
    shares = [statistics.mean(level is not None for _, level in step) for step in steps]
    sending = statistics.mean(shares)
    alone = (sending * (1 - sending) / len(courses)) ** 0.5
    changed = sum(before != after for course in courses for before, after in pairwise(course))
    minutes = sum(len(course) - 1 for course in courses) * STEP_S / 60
    return Herd(
        sending,
        statistics.pstdev(shares) / alone if alone else 0.0,
        statistics.mean(len(set(step)) for step in steps),
        changed / minutes,
    )


_COLUMNS = (
    *("mean", "p95", "missed", "overdue", "busy", "queue", "accuracy"),
    *("sending", "swing", "plans", "changes"),
)
"""Times in ms; changes a minute."""


def _rows(runs: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [
        [
            run["contender"],
            *(f"{run[key] * 1e3:.0f}" for key in ("mean_s", "p95_s")),
            *(f"{run[key]:.1%}" for key in ("missed", "overdue")),
            f"{run['busy']:.2f}",
            f"{run['queue_s'] * 1e3:.0f}",
            f"{run['accuracy']:.1%}",
            f"{run['sending']:.0%}",
            *(f"{run[key]:.1f}" for key in ("swing", "plans", "changes")),
        ]
        for run in sorted(runs, key=lambda run: float(run["mean_s"]))
    ]


def _last_line(runs: Sequence[dict[str, Any]]) -> str:
    """Say what the price does where there are most devices."""
    most = max(run["devices"] for run in runs)
    said = []
    for link in dict.fromkeys(run["link"] for run in runs):
        mine = {r["contender"]: r for r in runs if (r["link"], r["devices"]) == (link, most)}
        with_price, without = mine[OWN], mine[UNPRICED]
        said.append(
            f"{most} devices on {link}: mean {with_price['mean_s'] * 1e3:.0f} ms with the price, "
            f"{without['mean_s'] * 1e3:.0f} without, swing {with_price['swing']:.1f} and "
            f"{without['swing']:.1f}"
        )
    return "; ".join(said)


if __name__ == "__main__":
    main()

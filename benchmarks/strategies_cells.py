"""Cells: one strategy on one task and course, simulated once and kept until something changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml

import offramp
from benchmarks import strategies_latencies
from benchmarks.strategies_courses import Course
from benchmarks.strategies_latencies import Latencies
from benchmarks.strategies_scores import (
    AIM_TAIL_S,
    ORACLE,
    OWN,
    PUBLISHED,
    TAIL_KEPT,
    TIGHT,
    UNEVEN,
    WAITING,
)
from benchmarks.strategies_tasks import Task
from offramp.errors import OfframpError
from offramp.files import read_file, write_file
from partitioner import strategies
from sim.world.library import Library
from sim.world.run import simulate
from sim.world.scenario import read_scenario
from sim.world.sources import scenario_digest, scenario_sources

__all__ = [
    "DROP",
    "MANNERS",
    "TIGHT_SHARE",
    "WAIT_S",
    "WARM_UP_S",
    "Cell",
    "Contender",
    "build_cells",
    "code_digest",
    "contenders",
    "read_cell",
    "run_cells",
    "scenario",
    "tight_contenders",
    "uneven_contenders",
]

DROP = 0.01
"""Of the accuracy on the calibration samples: what every strategy may lose."""

WARM_UP_S = 5.0
WAIT_S = 30.0
"""How long a rival that waits does so: longer than a connection stays open in silence."""

TIGHT_SHARE = 0.8
"""A tight deadline, as a share of what the whole model takes on the device."""

_WAITING = ("neurosurgeon", "portend", "ans")
"""Who also runs without answering by itself; `dads`, `qdmp` and `edgent` do as `neurosurgeon` here.

The cuts of these networks are the same to all four, and no deadline of so long a wait binds.
"""

_DECIDES = ("device", "edge_server", "offramp", "partitioner", "sim")
_DECIDES_NOT = ("capture", "training", "report", "demo")
_COMPUTE = ("numpy", "numba", "simpy")


MANNERS: dict[str, Callable[[Task], dict[str, Any]]] = {
    "waits": lambda task: {"hedge": {"max_cpu_share": 0.0}},
    "hedges": lambda task: {},
    "keeps-p99": lambda task: {
        "objective": {"max_accuracy_drop": DROP, "limits": {"p99_s": task.device_s + AIM_TAIL_S}},
    },
    "blocks": lambda task: {"deadline_s": WAIT_S, "tuning": {"breaker_failures": 1000}},
    "tight": lambda task: {"deadline_s": TIGHT_SHARE * task.device_s},
    "uneven-waits": lambda task: {"hedge": {"max_cpu_share": 0.0}},
    "uneven-hedges": lambda task: {},
}
"""How strategies may run, by name: settings of the agent.

One that ``blocks`` waits for an answer like a plain call: it neither answers by itself in time nor
opens its breaker, unless the connection breaks. ``uneven`` ones have samples that come by chance.
"""


@dataclass(frozen=True)
class Contender:
    """A strategy in one of the `MANNERS`."""

    name: str
    strategy: str
    manner: str


@dataclass(frozen=True)
class Cell:
    """A contender in a scenario's file, with a seed; what came of it lies in ``path``."""

    task: str
    course: str
    contender: Contender
    seed: int
    scenario: Path
    path: Path


def contenders() -> list[Contender]:
    """Return every registered strategy; those that may compute on, also without doing so.

    And those with a limit of what of the samples are the slowest, too; and rivals that wait.
    """
    found = []
    for name in strategies.STRATEGIES:
        found.append(Contender(name, name, _manner(name)))
        if _manner(name) == "hedges":
            found.append(Contender(name + TAIL_KEPT, name, "keeps-p99"))
            found.append(Contender(f"{name}, no hedge", name, "waits"))
    return found + [Contender(name + WAITING, name, "blocks") for name in _WAITING]


def _manner(name: str) -> str:
    return "hedges" if strategies.STRATEGIES[name]().hedges else "waits"


def tight_contenders() -> list[Contender]:
    """Return every strategy that a device could run, with a deadline that it cannot keep alone."""
    live = [name for name, one in strategies.STRATEGIES.items() if not one.clairvoyant]
    return [Contender(name + TIGHT, name, "tight") for name in live]


def uneven_contenders() -> list[Contender]:
    """Return Offramp's own strategy, the oracle and the published ones with uneven samples."""
    return [
        Contender(name + UNEVEN, name, f"uneven-{_manner(name)}")
        for name in (OWN, ORACLE, *PUBLISHED)
    ]


def scenario(
    task: Task, course: Course, requests: int, manner: str, seed: int = 0
) -> dict[str, Any]:
    """Return the scenario of devices that have a worker of the server each."""
    arrivals = "poisson" if manner.startswith("uneven") else "periodic"
    agent = {
        "slowdown": task.slowdown,
        "deadline_s": task.deadline_s,
        "objective": {"max_accuracy_drop": DROP},
        **MANNERS[manner](task),
    }
    device = {
        "bundle": str(task.bundle),
        "profile": str(task.profile),
        "arrivals": {"kind": arrivals, "rate_hz": 1 / task.period_s},
        "agent": agent,
    }
    return {
        "name": f"{task.name} {course.name}",
        "seed": seed,
        "requests": requests,
        "warm_up_s": WARM_UP_S,
        "servers": [{"workers": sum(course.places), "profiles": [str(task.profile)]}],
        "groups": [
            {"name": f"link {at}", "count": places, "link": way, **device}
            for at, (way, places) in enumerate(zip(course.ways, course.places, strict=True))
        ],
        "timeline": {"devices": 0},
    }


_library = cache(Library)


def build_cells(
    folder: Path,
    task: Task,
    course: Course,
    requests: int,
    chosen: Sequence[Contender],
    seed: int = 0,
) -> Iterator[Cell]:
    """Write the scenarios of a task and course to ``folder`` and yield their cells.

    A cell lies elsewhere once anything changes that its scenario names, wherever that lies.
    """
    for manner in sorted({contender.manner for contender in chosen}):
        name = f"{task.name}-{course.name}-{manner}"
        path = folder / "scenarios" / f"{name}-{requests}-seed{seed}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        settings = scenario(task, course, requests, manner, seed)
        write_file(path, yaml.safe_dump(settings, sort_keys=False).encode())
        sources = scenario_sources(path, read_scenario(path), _library())
        digest = scenario_digest(sources)[:16]
        for contender in chosen:
            if contender.manner == manner:
                kept = folder / "cells" / f"{name}-{contender.strategy}-{digest}.json"
                yield Cell(task.name, course.name, contender, seed, path, kept)


def read_cell(cell: Cell) -> dict[str, Any] | None:
    """Return ``code``, the digest of the code that ran, and ``total``, the figures; None if none.

    A run that failed has ``error`` instead of figures.
    """
    with suppress(OfframpError, ValueError):
        found = json.loads(read_file(cell.path))
        return found if isinstance(found, dict) else None
    return None


def run_cells(cells: Sequence[Cell], jobs: int) -> Iterator[Cell]:
    """Run cells in so many processes and yield each when it is done."""
    code = code_digest()
    # A fresh interpreter each: a forked one would copy locks that threads hold.
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        futures = {pool.submit(_run, cell, code): cell for cell in cells}
        try:
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _run(cell: Cell, code: str) -> None:
    """Run a cell and write what comes of it; a strategy that fails does not fail the others."""
    found: dict[str, Any] = {"code": code}
    try:
        given = read_scenario(cell.scenario)
        latencies = Latencies(given.warm_up_s)
        strategy = cell.contender.strategy
        total = simulate(given, strategy, cell.seed, _library(), latencies.watch)["total"]
        found["total"] = {**total, **latencies.quantiles_s()}
    except Exception as error:
        found["error"] = f"{type(error).__name__}: {error}"
    cell.path.parent.mkdir(parents=True, exist_ok=True)
    write_file(cell.path, json.dumps(found).encode())


@cache
def code_digest() -> str:
    """Return a digest of all code that a simulation's figures hang on, its libraries included."""
    root = Path(offramp.__file__).parents[1]
    found = hashlib.sha256("".join(f"{name} {version(name)}\n" for name in _COMPUTE).encode())
    for path in (*_code(root), Path(__file__), Path(strategies_latencies.__file__)):
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


def _code(root: Path) -> Iterable[Path]:
    for package in _DECIDES:
        for path in sorted((root / package).rglob("*.py")):
            if not set(_DECIDES_NOT) & set(path.relative_to(root).parts):
                yield path

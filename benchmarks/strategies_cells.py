"""Cells: one strategy on one task and course, simulated once and kept until something changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
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
from benchmarks.strategies_contenders import DROP, MANNERS, Contender
from benchmarks.strategies_courses import Course
from benchmarks.strategies_latencies import Latencies
from benchmarks.strategies_tasks import Task
from offramp.errors import OfframpError
from offramp.files import read_file, write_file
from sim.world.library import Library
from sim.world.run import simulate
from sim.world.scenario import read_scenario
from sim.world.sources import scenario_digest, scenario_sources

__all__ = [
    "WARM_UP_S",
    "Cell",
    "build_cells",
    "code_digest",
    "read_cell",
    "run_cells",
    "scenario",
]

WARM_UP_S = 5.0
_DECIDES = ("device", "edge_server", "offramp", "partitioner", "sim")
_DECIDES_NOT = ("capture", "training", "report", "demo")
_COMPUTE = ("numpy", "numba", "simpy")


@dataclass(frozen=True)
class Cell:
    """A contender in a scenario's file, with a seed; what came of it lies in ``path``."""

    task: str
    course: str
    contender: Contender
    seed: int
    scenario: Path
    path: Path


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

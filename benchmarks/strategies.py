"""Every strategy on every recorded link: latency, misses, bytes, energy and accuracy.

Simulated with the deployed decision code: one device on each of five places of a course, samples
as fast as the device alone can just sustain them, accuracy floor and deadline alike for all.
On some courses also with a deadline that the device alone cannot keep. With --seeds all that is
compared with Offramp's own runs under further seeds. What was simulated is kept until scenario or
code change. With --strategy only those named are simulated anew; of the
others older figures are shown, marked with a star, or none. A scenario's file
(in the cache's benchmarks/strategies/scenarios) is what `offramp simulate` takes, too.
"""

from __future__ import annotations

import argparse
import datetime
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.harness import Options, build_parser, finish, tabulate
from benchmarks.strategies_aims import ahead_of_oracle
from benchmarks.strategies_cells import Cell, build_cells, code_digest, read_cell, run_cells
from benchmarks.strategies_contenders import (
    Contender,
    contenders,
    tight_contenders,
    uneven_contenders,
)
from benchmarks.strategies_courses import build_courses, rates_of
from benchmarks.strategies_figure import draw
from benchmarks.strategies_page import Made, page
from benchmarks.strategies_scores import Place, Score, is_compared, score_of
from benchmarks.strategies_tables import (
    cell_table,
    summary_line,
    summary_table,
    tight_table,
    uneven_table,
)
from benchmarks.strategies_tasks import TASKS, home, prepare
from offramp.files import write_file
from partitioner.boards import BOARDS
from partitioner.machine import this_machine
from partitioner.strategies import STRATEGIES

_QUICK = ("ATT-LTE-driving", "lumos-5g-driving", "steady", "outages")
_QUICK_TASKS = ("fashion_mnist", "cifar10")
_TIGHT = _QUICK
"""Where strategies also run with a tight deadline."""

_UNEVEN, _UNEVEN_TASK = ("ATT-LTE-driving", "steady", "outages"), "fashion_mnist"
"""Where strategies also run with samples that come unevenly."""

_ROUNDS = 30
_OWN_COLUMNS = 7  # of the summary, the others are of rivals: all are too wide for a terminal
_FEW = 3
"""So many cells are shown in full."""


def main() -> None:
    given = _parse()
    places, cells = _build(given)
    _run(_due(cells, given.strategies), given.jobs)
    failed = _fill(places, cells)
    _show(list(places.values()))
    for line in ahead_of_oracle(list(places.values())):
        print(f"ahead of the oracle: {line}")
    for (name, reason), count in Counter(failed).items():
        print(f"failed on {count} of {len(places)}: {name}: {reason}")
    line = summary_line(list(places.values()))
    if given.write:
        _write(given.write, list(places.values()))
    finish("strategies", line, _figures(places), Options(given.quick, given.json))


def _parse() -> argparse.Namespace:
    parser = build_parser("strategies", __doc__)
    parser.add_argument("--task", dest="tasks", action="append", choices=list(TASKS))
    parser.add_argument("--trace", dest="traces", action="append", help="part of a course's name")
    names = list(STRATEGIES)
    parser.add_argument("--strategy", dest="strategies", action="append", choices=names)
    parser.add_argument("--seeds", type=int, default=1, help="of all that are compared")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--measure", action="store_true", help="measure profiles again")
    parser.add_argument("--write", type=Path, help="write a page, and a figure beside it")
    given = parser.parse_args()
    given.tasks = given.tasks or list(_QUICK_TASKS if given.quick else TASKS)
    given.traces = given.traces or list(_QUICK if given.quick else [""])
    given.requests = 100 if given.quick else 400
    if given.seeds < 1:
        parser.error("--seeds: give at least one")
    return given


_Places = dict[tuple[str, str], Place]


def _build(given: argparse.Namespace) -> tuple[_Places, list[Cell]]:
    """Return all places, and the cells of all contenders there under the seeds of each."""
    courses = [
        course
        for course in build_courses(home() / "traces")
        if any(part.lower() in course.name.lower() for part in given.traces)
    ]
    tasks = [prepare(name, _ROUNDS, again=given.measure) for name in given.tasks]
    places: _Places = {}
    cells: list[Cell] = []
    everyone = contenders()
    for task in tasks:
        for course in courses:
            rates = rates_of(course, given.requests * task.period_s)
            places[task.name, course.name] = Place(task, course, rates)
            chosen = everyone + ([] if given.quick else _besides(task.name, course.name))
            for seed in range(given.seeds):
                seeded = [one for one in chosen if seed == 0 or is_compared(one.name)]
                cells += build_cells(home(), task, course, given.requests, seeded, seed)
    return places, cells


def _besides(task: str, course: str) -> list[Contender]:
    """Return who runs on a few courses besides, in other manners."""
    uneven = course in _UNEVEN and task == _UNEVEN_TASK
    return (tight_contenders() if course in _TIGHT else []) + (
        uneven_contenders() if uneven else []
    )


def _due(cells: Sequence[Cell], named: Sequence[str] | None) -> list[Cell]:
    """Return the cells that have not run with today's code, of the strategies that are named."""
    code = code_digest()
    return [
        cell
        for cell in cells
        if (not named or cell.contender.strategy in named)
        and ((found := read_cell(cell)) is None or found["code"] != code or "error" in found)
    ]


def _run(cells: Sequence[Cell], jobs: int) -> None:
    for number, cell in enumerate(run_cells(cells, jobs) if cells else (), 1):
        if number % 20 == 0 or number == len(cells):
            print(f"{number} of {len(cells)}: {cell.task}, {cell.course}", flush=True)


_NOT_COUNTED = {"probes": 0, "probe_waiting_s": 0.0}
"""What figures that older code made have not got."""


def _fill(places: _Places, cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """Give every place its scores, and return which contenders failed, and why."""
    failed, code = list[tuple[str, str]](), code_digest()
    for cell in cells:
        found, name = read_cell(cell), cell.contender.name
        place = places[cell.task, cell.course]
        if found is None:
            continue
        current = found["code"] == code
        if "error" in found:
            if current:
                failed.append((name, found["error"]))
            continue
        power = BOARDS[place.course.board]
        total = {**_NOT_COUNTED, **found["total"]}
        waits = cell.contender.manner == "blocks"
        score = score_of(total, place.task, power, waits=waits, current=current)
        if score is None:
            failed.append((name, "no answer"))
        else:
            _scores_of(place, cell)[name] = score
    return failed


def _scores_of(place: Place, cell: Cell) -> dict[str, Score]:
    """Return where the score of a cell belongs."""
    if cell.contender.manner == "tight":
        return place.tight
    if cell.contender.manner.startswith("uneven"):
        return place.uneven
    return place.further.setdefault(cell.seed, {}) if cell.seed else place.scores


def _show(places: Sequence[Place]) -> None:
    if len(places) <= _FEW:
        for place in places:
            title = f"{place.task.name}, {place.course.name}, times in ms"
            tabulate(title, *cell_table(place.scores))
            if place.tight:
                tabulate(f"{title}, tight deadline", *tight_table(place.tight))
        if any(place.uneven for place in places):
            tabulate("samples that come unevenly, times in ms", *uneven_table(places))
    for name in dict.fromkeys(place.task.name for place in places):
        mine = [place for place in places if place.task.name == name]
        task = mine[0].task
        title = f"{name}, device {task.slowdown:.3g} times slower: {task.device_s * 1e3:g} ms"
        columns, rows = summary_table(mine)
        tabulate(title, columns[:_OWN_COLUMNS], [row[:_OWN_COLUMNS] for row in rows])
        rivals = [[row[0], *row[_OWN_COLUMNS:]] for row in rows]
        tabulate(f"{name}, others over it", ["", *columns[_OWN_COLUMNS:]], rivals)


def _write(path: Path, places: Sequence[Place]) -> None:
    """Write the page and, in ``figures`` beside it, the figure."""
    figure = path.with_name("figures") / "strategies.svg"
    figure.parent.mkdir(parents=True, exist_ok=True)
    write_file(figure, draw(places).encode())
    where = f"{datetime.date.today()} ({this_machine().processor}, {this_machine().cores} cores)"
    command = shlex.join(["python", "-m", "benchmarks.strategies", *sys.argv[1:]])
    made = Made(where, _commit(), command)
    write_file(path, page(places, made, f"figures/{figure.name}").encode())


def _commit() -> str:
    """Return the commit that ran, with a plus if files differ from it."""
    command = ["git", "describe", "--always", "--exclude", "*", "--dirty=+", "--abbrev=9"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def _figures(places: _Places) -> dict[str, Any]:
    return {
        "places": [
            {
                "task": place.task.name,
                "slowdown": place.task.slowdown,
                "course": place.course.name,
                "kind": place.course.kind,
                **asdict(place.rates),
                "scores": {name: asdict(score) for name, score in place.scores.items()},
                "held_out": place.course.held_out,
                "tight": {name: asdict(score) for name, score in place.tight.items()},
                "uneven": {name: asdict(score) for name, score in place.uneven.items()},
                "further": {
                    seed: {name: asdict(score) for name, score in scores.items()}
                    for seed, scores in place.further.items()
                },
                "comparison": place.comparison and asdict(place.comparison),
            }
            for place in places.values()
        ]
    }


if __name__ == "__main__":
    main()

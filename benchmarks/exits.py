"""Exit policies, heads and recipes on real tasks: accuracy against compute, and offloading.

Exits and policies learn from a task's training samples, thresholds are chosen on its held-out
ones, all exits together, and every figure is of the test samples. Every policy is tried with each
kind of head, trained on the network as it is, and with other recipes for the first kind. What was
trained and timed once is kept in the cache; the first run trains for three hours. Networks are
those of `examples`; one that has not been trained is left out, and said.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.exit_page import (
    DROPS,
    OWN,
    Measured,
    Table,
    draw,
    exits_table,
    policies_table,
    recipes_table,
    shares_table,
)
from benchmarks.exit_scores import BELOW_TAIL, best_offload, walk
from benchmarks.exit_tasks import TASKS, Task, record, train_task
from benchmarks.exit_times import measure_exits
from benchmarks.harness import Options, build_parser, finish, tabulate
from offramp.errors import ConfigError
from offramp.exits import POLICIES
from offramp.exits.heads import HEADS
from offramp.tensors import Array
from offramp.training.recipes import RECIPES
from partitioner.machine import this_machine

_SVG = '<?xml version="1.0" encoding="UTF-8"?>\n'
_HEAD = """\
# Exits measured

Made by `python -m benchmarks.exits --write docs/policies.md` on {date}
({machine.processor}, {machine.cores} cores). The networks are those of `examples`, trained on this
machine; exits are trained on the same samples, of which 15,000 teach the policies that learn.
Held-out samples choose thresholds, all exits together, and every figure is of the test samples. A
*drop* is how far the accuracy is below the whole model's, in points (pp).

- *compute*, *time*: multiply-adds, and time on one thread of ONNX Runtime, mean of all samples, as
  a share of what the whole model takes with its exits; *leaving*: the share that exits answer.
- *together*: the accuracy of the last exit and the whole model together, as devices answer where
  held-out samples say that this is better (`docs/exits.md`). So what no exit answers is answered in
  all that follows but the first number of *offload*.
- *offload*: the least share of samples that must be sent on, if this were the only exit, for an
  accuracy 0.5 pp below the whole model's: if that answers alone, as in the papers, and then if it
  answers together with the exit.
- *least share*: on the way that the held-out samples chose, the first point at which the test
  samples lose no more. It compares policies fairly, but nobody knows that point beforehand.
- *given network*: the one that recipes start from, while *whole model* is what they leave.
- In the figures the dotted line knows which answers are right."""


def main() -> None:
    given = _parse()
    found: dict[str, list[Measured]] = {}
    for task in TASKS:
        if given.tasks and task.name not in given.tasks:
            continue
        try:
            found[task.name] = list(_measure(task, given))
        except ConfigError as error:
            print(f"leaving out {task.name}: {error}")
    for name, all_measured in found.items():
        for title, (columns, rows) in _tables(all_measured):
            tabulate(f"{name}: {title}", columns, rows)
    if given.write:
        _write(given.write, found)
    figures = {name: [_figures(measured) for measured in found[name]] for name in found}
    finish("exits", _line(found), {"exits": figures}, Options(given.quick, given.json))


def _parse() -> argparse.Namespace:
    parser = build_parser("exits", __doc__)
    names = [task.name for task in TASKS]
    parser.add_argument("--task", dest="tasks", action="append", choices=names)
    parser.add_argument("--recipe", dest="recipes", action="append", choices=list(RECIPES))
    parser.add_argument("--head", dest="heads", action="append", choices=list(HEADS))
    parser.add_argument("--write", type=Path, help="write a page, and a figure for each task")
    given = parser.parse_args()
    if given.quick:
        given.tasks, given.recipes, given.heads = ["spoken_digits"], ["frozen"], ["linear"]
    return given


def _measure(task: Task, given: argparse.Namespace) -> Iterator[Measured]:
    """Train and time every kind of head with the first recipe, and every recipe with the first."""
    heads, recipes = given.heads or task.heads, given.recipes or list(RECIPES)
    pairs = [(recipes[0], head) for head in heads] + [(one, heads[0]) for one in recipes[1:]]
    costs: dict[str, tuple[Array, Array]] = {}
    for recipe, head in pairs:
        trained = train_task(task, recipe, head)
        if head not in costs:  # other weights cost as much
            costs[head] = measure_exits(trained)
        macs, times_s = costs[head]
        recorded = record(trained, macs)
        walks = {name: walk(rule, recorded, times_s) for name, rule in POLICIES.items()}
        yield Measured(recipe, head, recorded, times_s, walks)


def _tables(all_measured: Sequence[Measured]) -> Iterator[tuple[str, Table]]:
    first = all_measured[0]
    test = first.recorded.test
    yield "accuracy, share of the multiply-adds and time at each exit", exits_table(all_measured)
    best = ", ".join(f"{rate:.1%}" for rate in best_offload(test))
    yield (
        f"{first.name}; thresholds chosen on held-out samples; offload {BELOW_TAIL * 100:g} pp "
        f"below the whole model, with perfect knowledge {best}",
        policies_table(first),
    )
    for drop in DROPS[1:]:
        title = f"least share of the multiply-adds within {drop * 100:g} pp of each whole model"
        yield title, shares_table(all_measured, drop)
        title = f"least share of the multiply-adds within {drop * 100:g} pp of the given network"
        yield title, recipes_table(all_measured, drop)


def _line(found: dict[str, list[Measured]]) -> str:
    """Say what our policy does with the first exits of each task within 0.3 pp."""
    said = []
    for name, (first, *_) in found.items():
        chosen = first.walks[OWN].chosen(DROPS[1])
        said.append(
            f"{name} {chosen.macs:.0%} of the multiply-adds, {chosen.drop * 100:+.2f} pp lost"
        )
    return f"{OWN}: {'; '.join(said) or 'nothing to measure'}"


def _figures(measured: Measured) -> dict[str, Any]:
    test = measured.recorded.test
    return {
        "recipe": measured.recipe,
        "head": measured.head,
        "accuracy": test.right.mean(axis=1).tolist(),
        "macs": test.recorded.costs.tolist(),
        "times_s": measured.times_s.tolist(),
        "best_offload": best_offload(test),
        "policies": {
            name: {
                "chosen": {f"{drop:g}": asdict(found.chosen(drop)) for drop in DROPS},
                "least_macs": {f"{drop:g}": found.least_macs(drop) for drop in DROPS},
                "offload": found.offload,
                "offload_joined": found.offload_joined,
            }
            for name, found in measured.walks.items()
        },
    }


def _write(path: Path, found: dict[str, list[Measured]]) -> None:
    """Write the page and, beside it in ``figures``, a figure for each task."""
    today, machine = datetime.date.today(), this_machine()
    parts = [_HEAD.format(date=today, machine=machine)]
    folder = path.with_name("figures")
    folder.mkdir(exist_ok=True)
    for name, all_measured in found.items():
        figure = folder / f"exits-{name}.svg"
        figure.write_text(_SVG + draw(name, all_measured))
        parts.append(f"## {name}\n\n![accuracy against compute](figures/{figure.name})")
        parts += [
            f"{title[0].upper()}{title[1:]}:\n\n{_markdown(table)}"
            for title, table in _tables(all_measured)
        ]
    path.write_text("\n\n".join(parts) + "\n")


def _markdown(table: Table) -> str:
    columns, rows = table
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()

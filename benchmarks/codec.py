"""Bytes against accuracy: every codec level at every cut, the input's codecs among them.

Codecs are fitted to a network's held-out samples; every figure is of test samples, whose accuracy
is compared with the whole model's. Networks are those of `examples` and the embedded one; one that
has not been trained is left out, and said. Without exits: every sample is sent.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from benchmarks.codec_bundles import NAMES, bundle_of, samples_of
from benchmarks.codec_figures import LEAST_TAIL, best, by_kind, draw_cuts, draw_overview
from benchmarks.codec_tasks import Level, WithExits, measure_exits, measure_task
from benchmarks.harness import Options, build_parser, finish, tabulate
from offramp.errors import ConfigError
from partitioner.machine import this_machine

DROPS = (0.0, 0.005, 0.01)
EXIT_DROPS = (0.0, 0.005, 0.01, 0.02)
SHOWN = "cifar10"  # in the README
FULL, QUICK = (1000, 10_000), (100, 100)  # samples that codecs are fitted to, and test samples
_SVG = '<?xml version="1.0" encoding="UTF-8"?>\n'
_HEAD = """\
# Codecs measured

Made by `python -m benchmarks.codec --write docs/codecs.md` on {date}
({machine.processor}, {machine.cores} cores): the first {count:,} test samples of each task, codecs
fitted on held-out samples, no exits but where they are named. Bytes are those of whole frames,
means over the samples. *Lost* is how far the accuracy is below the whole model's, in points (pp);
below zero it is above.

- *Least bytes*: cut and level are chosen on one half of the test samples, bytes and loss are those
  of the other half.
- *±*: the standard error of what is lost, sample against sample.
- *MMAC*: the device's million multiply-adds for a sample, a bottleneck's encoder among them.
- *order 0*: the entropy of a tensor's codes, each channel by itself: the least that a coder without
  contexts can reach. *coder*: by how much the frame is above the cross-entropy of the codec's own
  probabilities, on 300 samples; where other tensors cross too (word pieces), without these.
- *bits*: of the frame, for each element of the boundary's floats. *Times*: how much smaller than
  the boundary as it is, in float32.
- The last cuts of a network are left out of the summary where less than {tail:.0%} of its
  multiply-adds are left to the tail.
- *Learned* are the levels of a bottleneck (training.md).
- *With exits*: cut, level and one threshold for all exits on the way, chosen on the bundle's own
  calibration samples so that the least is sent at the accuracy wanted; then what the test samples
  lose and send, on average over all of them.
- In the figures black marks are codecs of the input, and colours are cuts."""


@dataclass(frozen=True)
class Found:
    """What was measured of a task: every level, and the best with exits at each accuracy lost."""

    levels: list[Level]
    with_exits: dict[float, WithExits | None]
    tested: int


def main() -> None:
    given = _parse()
    found: dict[str, Found] = {}
    counts = QUICK if given.quick else FULL
    with ProcessPoolExecutor(given.jobs, get_context("spawn")) as pool:
        tasks = {name: pool.submit(_measure, name, *counts) for name in given.tasks or NAMES}
        for name, task in tasks.items():
            try:
                found[name] = task.result()
            except ConfigError as error:
                print(f"leaving out {name}: {error}")
    for name, one in found.items():
        for title, columns, rows in _tables(one):
            tabulate(f"{name}: {title}", columns, rows)
    if given.write:
        _write(given.write, found, counts[1])
    figures = {name: asdict(one) for name, one in found.items()}
    finish("codec", _line(found), figures, Options(given.quick, given.json))


def _measure(name: str, fitted: int, tested: int) -> Found:
    bundle = bundle_of(name)
    levels = list(measure_task(name, bundle, fitted, tested))
    print(f"{name}: with exits", flush=True)
    test = samples_of(name, "test", FULL[1])
    chosen = [measure_exits(bundle, test, drop, LEAST_TAIL) for drop in EXIT_DROPS]
    return Found(levels, dict(zip(EXIT_DROPS, chosen, strict=True)), len(test))


def _parse() -> argparse.Namespace:
    parser = build_parser("codec", __doc__)
    parser.add_argument("--task", dest="tasks", action="append", choices=NAMES)
    parser.add_argument("--jobs", type=int, default=1, help="how many tasks to measure at a time")
    parser.add_argument("--write", type=Path, help="write a page, and a figure for each task")
    given = parser.parse_args()
    if given.quick:
        given.tasks = given.tasks or ["cluttered_digits"]
    return given


def _tables(found: Found) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    levels = found.levels
    columns = ["at most lost", *by_kind(levels)]
    rows = [
        [f"{drop * 100:g} pp", *(_least(some, drop) for some in by_kind(levels).values())]
        for drop in DROPS
    ]
    yield "least bytes", columns, rows
    columns = ["wanted", "cut", "level", "sent", "bytes", "lost"]
    rows = [[f"{drop * 100:g} pp", *_exit_row(one)] for drop, one in found.with_exits.items()]
    yield f"with exits, on {found.tested} test samples", columns, rows
    columns = ["cut", "level", "MMAC", "bytes", "p95", "lost", "bits", "times", "order 0", "coder"]
    yield "every level that no other of its cut beats", columns, list(map(_row, best(levels)))


def _exit_row(one: WithExits | None) -> list[str]:
    if one is None:
        return ["-"] * 5
    figures = f"{one.sent:.1%}", f"{one.bytes:.1f}", f"{one.lost * 100:+.2f} pp"
    return [str(one.cut), one.level, *figures]


def _within(levels: Sequence[Level], drop: float) -> Level | None:
    """Return the level that takes least of those that lose no more, by the first half alone."""
    fit = [level for level in levels if level.first.lost <= drop + 1e-9]
    return min(fit, key=lambda level: level.first.bytes, default=None)


def _least(levels: Sequence[Level], drop: float) -> str:
    found = _within(levels, drop)
    if found is None:
        return "-"
    seen = found.second
    return f"{seen.bytes:.0f} at {seen.lost * 100:+.2f} pp ({found.level}, cut {found.cut})"


def _row(level: Level) -> list[str]:
    limits = level.limits
    return [
        str(level.cut),
        level.level,
        f"{level.macs / 1e6:.2f}",
        f"{level.bytes:.0f}",
        f"{level.p95_bytes:.0f}",
        f"{level.lost * 100:+.2f} ± {level.error * 100:.2f} pp",
        f"{level.bytes * 8 / level.elements:.2f}" if level.elements else "-",
        f"{level.raw_bytes / level.bytes:.0f}",
        f"{limits.order_0:.0f}" if limits else "-",
        f"{limits.coded / limits.model - 1:+.1%}" if limits else "-",
    ]


def _line(found: Mapping[str, Found]) -> str:
    drop = 0.005
    return f"least bytes at {drop * 100:g} pp: " + "; ".join(
        f"{name}: "
        + ", ".join(f"{kind} {_least(some, drop)}" for kind, some in by_kind(one.levels).items())
        for name, one in found.items()
    )


def _write(page: Path, found: Mapping[str, Found], count: int) -> None:
    machine, date = this_machine(), datetime.date.today()
    parts = [_HEAD.format(machine=machine, date=date, count=count, tail=LEAST_TAIL)]
    for name, one in found.items():
        drawn = f"figures/codec-{name}.svg"
        (page.parent / drawn).write_text(_SVG + draw_cuts(name, one.levels) + "\n")
        parts.append(f"## {name}\n\n![bytes against accuracy]({drawn})")
        for title, columns, rows in _tables(one):
            parts.append(f"{title[0].upper()}{title[1:]}:\n\n{_markdown(columns, rows)}")
    if SHOWN in found:
        one = found[SHOWN]
        drawn = draw_overview("CIFAR-10", one.levels, one.with_exits.values())
        (page.parent / "figures/codec-overview.svg").write_text(_SVG + drawn + "\n")
    page.write_text("\n\n".join(parts) + "\n")


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] + ["---:"] * (len(columns) - 1), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


if __name__ == "__main__":
    main()

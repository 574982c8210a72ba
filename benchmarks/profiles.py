"""Profiles that predict: each cut's head and tail as a profile says, against fresh measurements.

For each model, in turn: a process measures a profile as ``offramp profile`` does, another loads
each head and tail anew and runs it as a device and a server do. Both leave out runs during which
other work had the processor, and the two slowest of five passes. The error is the difference of the
medians as a share of the measured one. Beside it stands the same difference between two fresh
measurements one after the other: on the machine as it is, no prediction can be better than that.
"""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.full_size import FULL_SIZE, full_size
from benchmarks.harness import BUNDLE, Options, build_parser, finish, tabulate
from offramp.bundle import open_bundle
from offramp.network import Network
from partitioner.measure import measure_profile
from partitioner.rounds import Values, boundary_values, time_call

AIM = 0.05
EMBEDDED = "embedded"
BACKEND, THREADS = "onnxruntime", 1
PASSES, COUNTED, WARM_UP = 5, 3, 2

Found = dict[str, float]
"""Median seconds by part: "head 3" runs segments 0 to 2, "tail 3" all from segment 3 on."""


def main() -> None:
    parser = build_parser("profiles", __doc__)
    every = (EMBEDDED, *FULL_SIZE)
    parser.add_argument("--model", dest="models", action="append", choices=every)
    given = parser.parse_args()
    options = Options(given.quick, given.json)
    rounds, runs = (2, 3) if options.quick else (3, 4)
    rows, figures = [], {}
    for name in given.models or ([EMBEDDED] if options.quick else every):
        bundle = open_bundle(BUNDLE) if name == EMBEDDED else full_size(name)
        predicted, measured = _alternate(bundle.folder, rounds, runs)
        errors = {
            "errors": _differences(predicted, measured),
            "repeats": _differences(measured[:-1], measured[1:]),
        }
        figures[name] = {"predicted_s": predicted, "measured_s": measured, **errors}
        rows.append([name, len(measured[0]), *(text for e in errors.values() for text in _two(e))])
    columns = ["", "heads and tails", "median error", "p95", "median of two fresh ones", "p95"]
    tabulate(f"{BACKEND}, {THREADS} thread, {rounds} rounds", columns, rows)
    shares = {key: [e for f in figures.values() for e in f[key]] for key in ("errors", "repeats")}
    (median, p95), (floor, floor_p95) = map(_two, shares.values())
    finish(
        "profiles",
        f"median error {median}, p95 {p95} (aim: median at most {AIM:.0%}); two fresh "
        f"measurements differ by {floor}, p95 {floor_p95}",
        {"models": figures, "median": statistics.median(shares["errors"])},
        options,
    )


def _alternate(folder: Path, rounds: int, runs: int) -> tuple[list[Found], list[Found]]:
    """Predict and measure in turn, each in a process of its own."""
    predicted, measured = [], []
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as alone:
        for at in range(rounds):
            print(f"round {at + 1} of {rounds}: {folder.name[:12]}", flush=True)
            predicted.append(alone.submit(_predict, folder).result())
            measured.append(alone.submit(_measure, folder, runs).result())
    return predicted, measured


def _predict(folder: Path) -> Found:
    runner = measure_profile(open_bundle(folder), [(BACKEND, THREADS)], rounds=30).main
    depth = len(runner.head) - 1
    heads = {f"head {cut}": runner.head[cut].median_s for cut in range(1, depth + 1)}
    return heads | {f"tail {cut}": runner.tail[cut].median_s for cut in range(depth)}


def _measure(folder: Path, runs: int) -> Found:
    bundle = open_bundle(folder)
    values = boundary_values(Network(bundle, BACKEND, THREADS))
    depth = len(values) - 1
    passes: dict[str, list[list[float]]] = defaultdict(list)
    for _ in range(PASSES):
        for cut in range(depth + 1):
            if cut:
                head = Network(bundle, BACKEND, THREADS, segments=range(0))
                head.fuse(bundle.manifest.stops(cut))
                passes[f"head {cut}"].append(_time(head, range(cut), values, runs))
            if cut < depth:
                tail = Network(bundle, BACKEND, THREADS, segments=range(cut, depth))
                passes[f"tail {cut}"].append(_time(tail, range(cut, depth), values, runs))
    return {part: _fastest(found) for part, found in passes.items()}


def _fastest(passes: list[list[float]]) -> float:
    counted = sorted(passes, key=statistics.median)[:COUNTED]
    return statistics.median(itertools.chain.from_iterable(counted))


def _time(network: Network, part: range, values: Values, runs: int) -> list[float]:
    call = partial(network.run, part.start, part.stop, values[part.start])
    for _ in range(WARM_UP):
        call()
    return [time_call(call) for _ in range(runs)]


def _differences(some: Sequence[Found], others: Sequence[Found]) -> list[float]:
    """Return every part's difference as a share of the second."""
    return [
        abs(one[part] - other[part]) / other[part]
        for one, other in zip(some, others, strict=True)
        for part in other
    ]


def _two(shares: Sequence[float]) -> tuple[str, str]:
    return f"{np.median(shares):.1%}", f"{np.percentile(shares, 95):.1%}"


if __name__ == "__main__":
    main()

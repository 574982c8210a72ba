"""What exits on the server save, and what they cost in right answers, on samples never seen before.

The networks of `examples` with three exits each, compiled with 3,000 held-out samples. For each cut
with exits behind it, and two codec levels (lossless, and that of fewest bytes at half a per cent
fewer right answers): the share of test samples that leave, the multiply-adds that this saves, and
right answers with and without. For lossless frames also how many samples one thread answers in a
second of its processor's time, decoded, run and encoded, where all wait and each step takes 16 of
them, or 1. With and without take turns; ratios are medians.
"""

from __future__ import annotations

import hashlib
import statistics
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from time import thread_time

import numpy as np

from benchmarks.exit_tasks import TASKS, Task, train_task
from benchmarks.harness import finish, parse, tabulate
from edge_server.engine import Engine
from edge_server.passage import Passage
from offramp import __version__, codecs
from offramp.bundle import Bundle, Manifest, open_bundle
from offramp.bundle.cache import cache_folder
from offramp.calibration import Calibration, load_calibration
from offramp.capture.calibrate import record_again
from offramp.capture.compiler import CompileOptions, compile_model
from offramp.exits.later import tail_macs
from offramp.fusing import FUSE_AFTER
from offramp.messages import Request
from offramp.network import Network

NAMES = ("fashion_mnist", "cifar10")
COMPILED = 3000
TESTED = 2000
SENT = 320
A_STEP = (16, 1)
ROUNDS = 5
SLACK = 0.005
LIMIT_BYTES = 1 << 24
LOSSLESS = "lossless"


@dataclass(frozen=True)
class Place:
    """What was found at a cut and level.

    ``rates`` are samples a second without and with later exits, and their ratio, by how many a step
    takes.
    """

    cut: int
    level: str
    left: float
    saved: float
    right_before: float
    right: float
    rates: dict[int, tuple[float, float, float]]


def main() -> None:
    options = parse("later_exits", __doc__)
    names, tested, rounds = NAMES, TESTED, ROUNDS
    if options.quick:
        names, tested, rounds = NAMES[:1], 200, 1
    found = {name: _measure(name, tested, rounds) for name in names}
    for name, places in found.items():
        columns = ["cut", "level", "left", "MAC saved", "right", "with exits"]
        columns += [f"{most} a step: a second, with, ratio" for most in A_STEP]
        tabulate(f"{name}, {tested} test samples", columns, [_row(place) for place in places])
    every = [place for places in found.values() for place in places]
    drops = [place.right_before - place.right for place in every]
    ratios = [place.rates[A_STEP[0]][2] for place in every if place.rates]
    finish(
        "later_exits",
        f"at {len(every)} places {min(p.left for p in every):.0%} to "
        f"{max(p.left for p in every):.0%} leave on the server and save "
        f"{min(p.saved for p in every):.0%} to {max(p.saved for p in every):.0%} of its "
        f"multiply-adds; at worst {max(drops):.2%} fewer right answers, in the mean "
        f"{statistics.mean(drops):.2%}; {A_STEP[0]} a step, {min(ratios):.2f} to "
        f"{max(ratios):.2f} times as many samples a second",
        {name: [vars(place) for place in places] for name, places in found.items()},
        options,
    )


def _row(place: Place) -> list[object]:
    rates = [
        "{:.0f}, {:.0f}, {:.2f}".format(*place.rates[most]) if place.rates else ""
        for most in A_STEP
    ]
    return [
        place.cut, place.level, f"{place.left:.1%}", f"{place.saved:.1%}",
        f"{place.right_before:.2%}", f"{place.right:.2%}", *rates,
    ]  # fmt: skip


def bundle_of(name: str) -> Bundle:
    """Return the task's network with frozen exits, compiled; from the cache if it is there."""
    exits = train_task(_task(name), "frozen", "local")
    compiled = f"{COMPILED} {__version__} {codecs.names()}".encode()
    key = hashlib.sha256(exits.kept.read_bytes() + compiled).hexdigest()[:12]
    path: Path = cache_folder() / "benchmarks" / f"later-{name}-{key}.offramp"
    if not path.exists():
        print(f"compiling {name}", flush=True)
        held_out = _task(name).samples("held_out")[:COMPILED]
        compile_model(exits.exits, held_out, path, CompileOptions(name), report=print)
    return open_bundle(path)


def _measure(name: str, tested: int, rounds: int) -> list[Place]:
    bundle, samples = bundle_of(name), _task(name).samples("test")[:tested]
    chosen = _choose(bundle.manifest, load_calibration(bundle))
    bundles = [_with_levels(bundle, chosen, later=later) for later in (False, True)]
    networks = [Network(each) for each in bundles]
    without, found = (record_again(one, one, samples, print)[0] for one in networks)
    places = []
    for cut, level in sorted(found.leaves):
        right = [
            float(np.mean(one.answers[cut, level] == samples.labels)) for one in (without, found)
        ]
        rates = {}
        if level == LOSSLESS:
            sent = _requests(networks[1], cut, samples.inputs[0])
            rates = {most: _rates(networks, cut, sent, most, rounds) for most in A_STEP}
        leaves = found.leaves[cut, level]
        left = float(np.mean(leaves < len(bundle.manifest.exits)))
        saved = _saved(bundle.manifest, (cut, level), leaves.tolist())
        places.append(Place(cut, level, left, saved, *right, rates))
    return places


def _choose(manifest: Manifest, calibration: Calibration) -> dict[int, list[str]]:
    """Return the levels to look at of each cut with later exits."""
    chosen: dict[int, list[str]] = {}
    for cut, boundary in enumerate(manifest.boundaries):
        good = [
            level
            for level in boundary.later or {}
            if np.mean(calibration.answers[cut, level] == calibration.labels)
            >= calibration.accuracy - SLACK
        ]
        sizes = {level: calibration.sizes[cut, level].mean() for level in good}
        few = [min(sizes, key=lambda level: sizes[level])] if sizes else []
        chosen[cut] = list(dict.fromkeys([*few, *(one for one in good if one == LOSSLESS)]))
    return chosen


def _with_levels(bundle: Bundle, chosen: dict[int, list[str]], *, later: bool) -> Bundle:
    """Return a bundle with some levels, and with their later exits or without."""
    boundaries = []
    for cut, boundary in enumerate(bundle.manifest.boundaries):
        levels = {level: boundary.levels[level] for level in chosen[cut]}
        kept = {level: (boundary.later or {})[level] for level in levels} if later else None
        boundaries.append(boundary.model_copy(update={"levels": levels, "later": kept or None}))
    manifest = bundle.manifest.model_copy(update={"boundaries": tuple(boundaries)})
    return replace(bundle, manifest=manifest)


def _saved(manifest: Manifest, place: tuple[int, str], leaves: Sequence[int]) -> float:
    """Return the share of the tail's multiply-adds that leaving saves."""
    each = tail_macs(manifest, place[0], manifest.later_at(*place))
    whole = sum(segment.macs for segment in manifest.segments[place[0] :])
    return 1 - statistics.mean(each[at] for at in leaves) / whole


def _requests(network: Network, cut: int, images: np.ndarray) -> list[Request]:
    sent = []
    for number, image in enumerate(images[:SENT]):
        values = network.run(0, cut, [image[None]])
        frames = network.encode(cut, LOSSLESS, values).frames
        sent.append(Request(number, network.bundle.digest, cut, frames))
    return sent


def _rates(
    networks: Sequence[Network], cut: int, sent: Sequence[Request], most: int, rounds: int
) -> tuple[float, float, float]:
    """Return samples a second without and with later exits, and their ratio."""
    engines = [Engine([Network(network.bundle)], LIMIT_BYTES) for network in networks]
    for engine in engines:
        _drive(engine, sent[:FUSE_AFTER], most)  # then tails are fused
    for thread in threading.enumerate():
        if thread.name == "fuse":
            thread.join()
    rates = [[len(sent) / _drive(engine, sent, most) for engine in engines] for _ in range(rounds)]
    before, with_exits = (statistics.median(each) for each in zip(*rates, strict=True))
    return before, with_exits, statistics.median(b / a for a, b in rates)


def _drive(engine: Engine, sent: Sequence[Request], most: int) -> float:
    """Return an engine's processor time for samples that all wait, so many in a step.

    What is furthest goes on once as many wait there, else others are begun.
    """
    began_s, coming = thread_time(), iter(sent)
    waiting: dict[int, list[Passage]] = defaultdict(list)
    while True:
        full = [at for at, passages in waiting.items() if len(passages) >= most]
        if not full:
            begun = [engine.begin(request) for request in islice(coming, most)]
            for passage in begun:
                waiting[passage.at].append(passage)
        at = max(full) if full else min((at for at in waiting if waiting[at]), default=None)
        if at is None:
            return thread_time() - began_s
        taken, waiting[at] = waiting[at][:most], waiting[at][most:]
        engine.step(taken)
        for passage in taken:
            if passage.ended:
                engine.finish(passage)
            else:
                waiting[passage.at].append(passage)


def _task(name: str) -> Task:
    return next(task for task in TASKS if task.name == name)


if __name__ == "__main__":
    main()

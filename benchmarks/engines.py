"""Segments against the whole model, on every backend: what cutting costs, and what fusing saves.

Full-size networks with random weights, one image, one thread. "Whole" is the model as one program,
"segments" all of them one after the other, "fused" a head and a tail of as equal work as the cuts
allow, each fused: what a device and its server would run once a plan is fixed for long. All are run
in turn, another one first in each round; a run during which other work had the processor is made
again, and the ratios are medians over the rounds. The bundles have int8 heads too.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import numpy as np

from benchmarks.full_size import FULL_SIZE, full_size
from benchmarks.harness import Options, build_parser, finish, spread, tabulate
from offramp import backends
from offramp.bundle import Bundle
from offramp.network import Network
from partitioner.rounds import time_call

AIM = 1.05
FORMS = ("whole", "segments", "fused")


def main() -> None:
    given, options = _options()
    names = given.models or (["mobilenet_v2"] if options.quick else FULL_SIZE)
    wanted = given.backends or [b.name for b in backends.installed() if _fits(b, options)]
    figures: dict[tuple[str, str], dict[str, list[float]]] = {}
    for name in names:
        bundle = full_size(name, int8=True)
        calls = {b.name: _forms(bundle, b) for b in bundle.backends if b.name in wanted}
        for backend, found in _time(calls, 15 if options.quick else 30).items():
            figures[name, backend] = found
    ratios = {
        key: [_ratio(found[form], found["whole"]) for form in FORMS[1:]]
        for key, found in figures.items()
    }
    columns = [
        "",
        "backend",
        *(f"{form} ms" for form in FORMS),
        "segments / whole",
        "fused / whole",
    ]
    rows = [
        [*key, *(spread(found[form]) for form in FORMS), *(f"{ratio:.3f}" for ratio in ratios[key])]
        for key, found in figures.items()
    ]
    tabulate("median (10th to 90th percentile)", columns, rows)
    worst = {
        one: [max(r) for r in zip(*(ratios[key] for key in ratios if key[1] == one), strict=True)]
        for one in dict.fromkeys(backend for _, backend in figures)
    }
    finish(
        "engines",
        "segments one by one, and fused, against the whole model at worst: "
        + ", ".join(f"{one} {single:.3f}, {fused:.3f}" for one, (single, fused) in worst.items())
        + f" (aim: fused at most {AIM:.2f})",
        {
            "seconds": {"/".join(key): found for key, found in figures.items()},
            "ratios": {"/".join(key): found for key, found in ratios.items()},
            "worst": worst,
        },
        options,
    )


def _options() -> tuple[argparse.Namespace, Options]:
    parser = build_parser("engines", __doc__)
    parser.add_argument("--model", dest="models", action="append", choices=FULL_SIZE)
    parser.add_argument("--backend", dest="backends", action="append", choices=backends.BACKENDS)
    given = parser.parse_args()
    return given, Options(given.quick, given.json)


def _fits(backend: backends.Backend, options: Options) -> bool:
    return backend.ready_at_once or not options.quick


def _forms(bundle: Bundle, backend: backends.Backend) -> dict[str, Callable[[], object]]:
    depth = len(bundle.manifest.segments)
    macs = np.cumsum([segment.macs for segment in bundle.manifest.segments])
    middle = 1 + int(np.abs(macs[:-1] - macs[-1] / 2).argmin())
    networks = {
        form: Network(bundle, backend.name, segments=range(depth if form == "segments" else 0))
        for form in FORMS
    }
    networks["whole"].fuse((0, depth))
    networks["fused"].fuse((0, middle, depth))
    one = [array[:1] for array in bundle.examples]
    return {
        form: lambda network=network: network.run(0, depth, one)
        for form, network in networks.items()
    }


def _time(
    calls: dict[str, dict[str, Callable[[], object]]], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Run every form on every backend in turn; the first two rounds are not timed."""
    times: dict[str, dict[str, list[float]]] = {b: {f: [] for f in FORMS} for b in calls}
    for done in range(rounds + 2):
        turn = done % len(FORMS)
        for backend, forms in calls.items():
            for form in (*FORMS[turn:], *FORMS[:turn]):
                took_s = time_call(forms[form])
                if done >= 2:
                    times[backend][form].append(took_s)
    return times


def _ratio(values: list[float], whole: list[float]) -> float:
    """Return the median of the rounds' ratios: what slows the machine meets both alike."""
    return statistics.median(a / b for a, b in zip(values, whole, strict=True))


if __name__ == "__main__":
    main()

"""Segments against the whole model, on every backend: what cutting costs, and what fusing saves.

Full-size networks with random weights, one image, one thread. "Whole" is the model as one program,
"segments" all of them one after the other, "fused" a head and a tail of as equal work as the cuts
allow, each fused: what a device and its server run once a plan is fixed. All are run in turn.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from benchmarks.full_size import FULL_SIZE, full_size
from benchmarks.harness import finish, parse, spread, tabulate
from offramp import backends
from offramp.bundle import Bundle
from offramp.network import Network

AIM = 1.05
FORMS = ("whole", "segments", "fused")


def main() -> None:
    options = parse("engines", __doc__)
    names = ["mobilenet_v2"] if options.quick else list(FULL_SIZE)
    rounds = 15 if options.quick else 60
    rows, figures = [], {}
    for name in names:
        bundle = full_size(name)
        able = [b for b in bundle.backends if b.ready_at_once or not options.quick]
        calls = {b.name: _forms(bundle, b) for b in able}
        times = _time(calls, rounds)
        for backend, found in times.items():
            ratios = {form: _ratio(found[form], found["whole"]) for form in FORMS[1:]}
            figures[f"{name}/{backend}"] = {
                "ms": {form: statistics.median(found[form]) * 1e3 for form in FORMS},
                "ratios": ratios,
            }
            texts = [spread(found[form]) for form in FORMS]
            rows.append([name, backend, *texts, *(f"{ratio:.3f}" for ratio in ratios.values())])
    columns = [
        "",
        "backend",
        *(f"{form} ms" for form in FORMS),
        "segments / whole",
        "fused / whole",
    ]
    tabulate("median (10th to 90th percentile)", columns, rows)
    on_device = [f for key, f in figures.items() if key.endswith("/onnxruntime")]
    segments, fused = (max(f["ratios"][form] for f in on_device) for form in FORMS[1:])
    finish(
        "engines",
        f"on ONNX Runtime segments take {segments:.3f} times the whole model at worst, "
        f"fused {fused:.3f} (aim at most {AIM:.2f})",
        {"models": figures, "worst": {"segments": segments, "fused": fused}},
        options,
    )


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
        for backend, forms in calls.items():
            for form, call in forms.items():
                started = time.perf_counter()
                call()
                if done >= 2:
                    times[backend][form].append(time.perf_counter() - started)
    return times


def _ratio(values: list[float], whole: list[float]) -> float:
    """Return the median of the rounds' ratios: what slows the machine meets both alike."""
    return statistics.median(a / b for a, b in zip(values, whole, strict=True))


if __name__ == "__main__":
    main()

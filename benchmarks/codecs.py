"""Bytes, time and accuracy of every codec level at every cut of the embedded bundle.

Bytes and accuracy are over the bundle's calibration samples; encoding and decoding are timed on
real samples, the levels of a cut in turn, on one core.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import BUNDLE, finish, parse, tabulate
from offramp.boundary_codec import BoundaryCodec, decode_boundary
from offramp.bundle import Boundary, open_bundle
from offramp.calibration import Calibration, load_calibration
from offramp.embedded.cluttered_digits import load
from offramp.network import Network

MOST_ON_THE_DEVICE = 0.8
COLUMNS = ["cut level", "bytes", "p95", "accuracy", "encode us", "decode us"]


def main() -> None:
    options = parse("codecs", __doc__)
    bundle = open_bundle(BUNDLE)
    calibration = load_calibration(bundle)
    network = Network(bundle)
    values = [load("test", 4 if options.quick else 16)[0]]
    figures: dict[str, dict[str, float]] = {}
    for cut, boundary in enumerate(bundle.manifest.boundaries[:-1]):
        samples = [list(rows) for rows in zip(*values, strict=True)]
        times = _time_levels(boundary, samples, repeats=3 if options.quick else 15)
        for level in boundary.levels:
            figures[f"{cut} {level}"] = _recorded(calibration, cut, level) | times[level]
        values = network.run_segment(cut, values)
    tabulate(
        f"{len(calibration.labels)} samples", COLUMNS, [_row(k, f) for k, f in figures.items()]
    )
    whole = calibration.accuracy
    work = np.cumsum([0, *(segment.macs for segment in bundle.manifest.segments)])
    early = {str(cut) for cut in bundle.cuts if work[cut] <= MOST_ON_THE_DEVICE * work[-1]}
    close = {
        key: f
        for key, f in figures.items()
        if f["accuracy"] >= whole - 0.005 and key.split()[0] in early
    }
    best = {
        kind: min(
            (f["bytes"], k) for k, f in close.items() if k.startswith("0 ") == (kind == "input")
        )
        for kind in ("input", "boundary")
    }
    finish(
        "codecs",
        "least bytes at up to 0.5 points below the whole model, at least a fifth of it in the "
        "tail: " + ", ".join(f"{kind} {size:.0f} ({key})" for kind, (size, key) in best.items()),
        {"whole": whole, "levels": figures},
        options,
    )


def _recorded(calibration: Calibration, cut: int, level: str) -> dict[str, float]:
    sizes = calibration.sizes[cut, level]
    right = calibration.answers[cut, level] == calibration.labels
    return {
        "bytes": float(sizes.mean()),
        "p95": float(np.quantile(sizes, 0.95)),
        "accuracy": float(right.mean()),
    }


def _time_levels(
    boundary: Boundary, samples: list[list[Any]], repeats: int
) -> dict[str, dict[str, float]]:
    """Return each level's median times in seconds; the levels take turns."""
    codecs = {level: BoundaryCodec(boundary, level) for level in boundary.levels}
    spent: dict[str, tuple[list[float], list[float]]] = {level: ([], []) for level in codecs}
    for _ in range(repeats):
        for sample in samples:
            for level, codec in codecs.items():
                encode_s, frames = _timed(lambda c=codec, s=sample: c.encode(s))
                decode_s, _ = _timed(
                    lambda f=frames: decode_boundary(
                        f, boundary.tensors, limit_bytes=boundary.nbytes
                    )
                )
                spent[level][0].append(encode_s)
                spent[level][1].append(decode_s)
    return {
        level: {"encode_s": statistics.median(up), "decode_s": statistics.median(down)}
        for level, (up, down) in spent.items()
    }


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = run()
    return time.perf_counter() - started, result


def _row(key: str, figures: dict[str, float]) -> list[str]:
    return [
        key,
        f"{figures['bytes']:.0f}",
        f"{figures['p95']:.0f}",
        f"{figures['accuracy']:.3f}",
        f"{figures['encode_s'] * 1e6:.0f}",
        f"{figures['decode_s'] * 1e6:.0f}",
    ]


if __name__ == "__main__":
    main()

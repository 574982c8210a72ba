"""For every cut, head + tail against the whole model: every pair of backends, real samples.

The head runs on one backend, the boundary crosses as lossless frames, the tail runs on another;
the reference is the whole model in torch, without cuts.
"""

from __future__ import annotations

import itertools

import numpy as np

from benchmarks.harness import BUNDLE, finish, parse, tabulate
from offramp.bundle import open_bundle
from offramp.capture.proof import through_frames
from offramp.capture.whole import TOLERANCE
from offramp.embedded.cluttered_digits import load
from offramp.network import Network


def main() -> None:
    options = parse("equality", __doc__)
    bundle = open_bundle(BUNDLE)
    images, _ = load("test", 8 if options.quick else 64)
    networks = {b.name: Network(bundle, b.name) for b in bundle.backends if b.ready_at_once}
    depth = len(bundle.manifest.segments)
    whole = networks["torch"].run(0, depth, [images])[0]
    differences: dict[str, list[float]] = {}
    for head, tail in itertools.product(networks, repeat=2):
        values = [images]
        found = differences.setdefault(f"{head} + {tail}", [])
        for cut in bundle.cuts:
            received = [through_frames(array) for array in values]
            outputs = networks[tail].run(cut, depth, received)[0]
            found.append(float(np.abs(outputs - whole).max()))
            if cut < depth:
                values = networks[head].run_segment(cut, values)
    columns = ["head + tail", *(f"cut {cut}" for cut in bundle.cuts)]
    rows = [[pair, *(f"{d:.1e}" for d in found)] for pair, found in differences.items()]
    tabulate(f"largest absolute difference of the logits, {len(images)} samples", columns, rows)
    worst = max(max(found) for found in differences.values())
    largest = float(np.abs(whole).max())
    finish(
        "equality",
        f"{worst:.1e} largest difference over all cuts, logits up to {largest:.3g} "
        f"(required at most {TOLERANCE * largest:.1e})",
        {"differences": differences, "worst": worst, "largest_logit": largest},
        options,
    )


if __name__ == "__main__":
    main()

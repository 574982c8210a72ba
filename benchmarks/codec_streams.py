"""Samples of a stream as their change from an earlier one, against whole samples, in bytes.

Streams are made from test images of the embedded task, 96 x 96: a camera that stands still, one
that shakes by up to a pixel either way, and one that pans by a pixel a frame; the sensor's noise is
new in each frame. Codecs learn from other images, moved alike. The reference is the frame before,
or the one before four others: those may have left at exits, or be under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.codec_bundles import EMBEDDED, bundle_of, samples_of
from benchmarks.harness import finish, parse, tabulate
from offramp.boundary_codec import BoundaryCodec, BundleCodecs, References
from offramp.capture.levels import Crossing, answer, fit_levels
from offramp.network import Network
from offramp.tensors import Array

LEVELS = ("context10", "coarse3", "learned1")
FRAMES = 8
SCENES, QUICK_SCENES = 50, 8
NOISE = 3.0
LAGS = (1, 5)
SEED = 3

Motion = Callable[[int, np.random.Generator], tuple[int, int]]

MOTIONS: dict[str, Motion] = {
    "still": lambda frame, random: (0, 0),
    "shaking": lambda frame, random: (int(random.integers(-1, 2)), int(random.integers(-1, 2))),
    "panning": lambda frame, random: (0, frame),
}


@dataclass(frozen=True)
class Row:
    """Mean bytes of a frame at one cut and level: whole, and as the change from an earlier one."""

    motion: str
    cut: int
    level: str
    whole_bytes: float
    changes_bytes: tuple[float, ...]


def moved(images: Array, motion: Motion, random: np.random.Generator) -> Array:
    """Return the streams of images, uint8 (N * FRAMES, 96, 96, 3), each after the other."""
    frames = [
        np.roll(image, motion(at, random), (0, 1)) + np.rint(random.normal(0, NOISE, image.shape))
        for image in images
        for at in range(FRAMES)
    ]
    return np.array(frames).clip(0, 255).astype(np.uint8)


def measure(network: Network, name: str, scenes: int) -> Iterator[Row]:
    """Yield what frames of one motion take at every cut and level that learns changes."""
    random = np.random.default_rng(SEED)
    parts = ("held_out", "test")
    fitted, tested = (
        [moved(samples_of(EMBEDDED, part, scenes).inputs[0], MOTIONS[name], random)]
        for part in parts
    )
    for cut in range(1, network.depth):
        values, test = (network.run(0, cut, images) for images in (fitted, tested))
        crossing = Crossing(network, network, cut, values, answer(network, cut, values))
        boundary, learnt = fit_levels(crossing, LEVELS)
        boundaries = list(network.bundle.manifest.boundaries)
        boundaries[cut] = boundary
        arrays = {key: array for found in learnt.values() for key, array in found.items()}
        known = BundleCodecs(boundaries, arrays)
        for level in boundary.levels:
            codec = known.at(cut, level)
            if not codec.writes_changes:
                continue
            tensors = network.narrow(cut, test) if codec.narrow else test
            yield _row(name, cut, codec, tensors)


def _row(name: str, cut: int, codec: BoundaryCodec, tensors: list[Array]) -> Row:
    frames = list(zip(*tensors, strict=True))
    sent = [codec.encode(frame) for frame in frames]
    whole = [one.size_bytes for at, one in enumerate(sent) if at % FRAMES >= max(LAGS)]
    changes = []
    for lag in LAGS:
        sizes = []
        for at, frame in enumerate(frames):
            if at % FRAMES >= max(LAGS):
                before: References = sent[at - lag].references
                sizes.append(codec.encode(frame, before).size_bytes)
        changes.append(float(np.mean(sizes)))
    return Row(name, cut, codec.level, float(np.mean(whole)), tuple(changes))


def main() -> None:
    options = parse("codec_streams", __doc__)
    network = Network(bundle_of(EMBEDDED), threads=2)
    scenes = QUICK_SCENES if options.quick else SCENES
    rows: list[Row] = []
    for name in MOTIONS:
        print(f"camera: {name}", flush=True)
        rows += measure(network, name, scenes)
    tabulate(
        f"bytes of a frame, mean of {scenes} scenes",
        ["camera", "cut", "level", "whole", *(f"change from {lag} before" for lag in LAGS)],
        [
            (
                r.motion,
                r.cut,
                r.level,
                f"{r.whole_bytes:.0f}",
                *(f"{b:.0f}" for b in r.changes_bytes),
            )
            for r in rows
        ],
    )
    told = []
    for name in MOTIONS:
        shares = [np.array(r.changes_bytes) / r.whole_bytes for r in rows if r.motion == name]
        if shares:
            near, far = np.median(shares, axis=0)
            told.append(f"{name} {near:.2f} and {far:.2f} ({len(shares)} levels)")
    line = (
        f"of the bytes of whole frames, where levels learnt changes, {LAGS[0]} and {LAGS[1]} "
        f"frames back, medians: {', '.join(told) or 'none did'}"
    )
    finish("codec_streams", line, {"rows": [asdict(row) for row in rows]}, options)


if __name__ == "__main__":
    main()

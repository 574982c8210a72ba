"""Device costs: what heads, exits and encoding take of a device, in time, work and memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from offramp import codecs
from offramp.bundle import Manifest, ProgramSpec

__all__ = ["DeviceCosts", "Place", "count_macs", "held_bytes"]

Floats = NDArray[np.float64]
Place = tuple[int, str | None]
"""A cut and a codec level; None where nothing is sent."""


@dataclass(frozen=True)
class DeviceCosts:
    """What a device takes for each head (K + 1,), each exit head (E,) and encoding at each place.

    The ``unit`` is seconds on ``machine`` or multiply-adds. Of another place encoding costs
    nothing.
    """

    unit: Literal["s", "macs"]
    head: Floats
    exits: Floats
    encode: Mapping[Place, float] = field(default_factory=dict)
    machine: str | None = None

    def at(self, manifest: Manifest, place: Place) -> Floats:
        """Return the costs, (A + 1,), of leaving at each of the A exits up to a cut, and of none.

        All exits on the way have run then.
        """
        cut, _ = place
        active = manifest.exits_before(cut)
        ends = [*(spec.boundary for spec in manifest.exits[:active]), cut]
        spent = np.cumsum(self.exits[:active])
        costs = self.head[ends] + np.append(spent, spent[-1:].sum())
        costs[-1] += self.encode.get(place, 0.0)
        return np.asarray(costs, dtype=np.float64)


def count_macs(manifest: Manifest) -> DeviceCosts:
    """Return a bundle's multiply-adds as costs."""
    segments = [segment.macs for segment in manifest.segments]
    heads = np.cumsum([0, *segments]).astype(np.float64)
    exits = np.array([e.macs for e in manifest.exits], np.float64)
    encode: dict[Place, float] = {
        (cut, level): float(pair.encoder.macs)
        for cut, pair in manifest.bottlenecks.items()
        for level in manifest.boundaries[cut].levels
        if codecs.get(level).of_latents
    }
    return DeviceCosts("macs", heads, exits, encode)


def held_bytes(manifest: Manifest, cut: int) -> int:
    """Return how much memory a device takes for what runs up to a cut, its bottleneck included.

    Those are the weights, twice where a device loads several segments as one besides, and the
    largest tensors that are there at once at a cut. What the engine itself needs, and tensors
    inside a segment, come on top.
    """
    weights = [_weights(manifest, segment) for segment in manifest.segments]
    held = sum(weights[:cut])
    held += sum(
        sum(weights[start:stop])
        for start, stop in pairwise(manifest.stops(cut))
        if stop - start > 1
    )
    held += sum(_weights(manifest, e) for e in manifest.exits[: manifest.exits_before(cut)])
    if cut in manifest.bottlenecks:
        held += _weights(manifest, manifest.bottlenecks[cut].encoder)
    sizes = [boundary.nbytes for boundary in manifest.boundaries[: cut + 1]]
    return held + max((a + b for a, b in pairwise(sizes)), default=sizes[0])


def _weights(manifest: Manifest, program: ProgramSpec) -> int:
    name = "int8.onnx" if manifest.quantised else "weights.safetensors"
    entry = manifest.files.get(f"{program.folder}/{name}")
    return entry.bytes if entry else 0

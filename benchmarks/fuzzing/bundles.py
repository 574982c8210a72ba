"""Targets: bundles, and every file in them that our own code reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from benchmarks.fuzzing.target import Attack, Target, of_file
from benchmarks.harness import BUNDLE
from offramp.backends import BACKENDS
from offramp.boundary_codec import BundleCodecs
from offramp.bundle import MANIFEST, Bundle, open_bundle, write_bundle
from offramp.bundle import frontier as plans
from offramp.bundle.manifest import decode_manifest, encode_manifest
from offramp.bundle.part import device_part, head_engines
from offramp.drawing import outline

__all__ = ["embedded", "of_bundle_file", "targets"]


def targets() -> tuple[Target, ...]:
    """Return the targets of bundles and what is in them."""
    archive = ("offramp.bundle.archive", "offramp.bundle.cache")
    return (
        Target("manifests", ("offramp.bundle.manifest", "device.fetch"), _manifests, weight=8),
        Target("bundle files", archive, _files, weight=10),
        Target("bundle folders", archive, _folders, weight=10),
        Target("examples", archive, _examples, weight=13),
        Target("stored plans", ("offramp.bundle.frontier",), _plans, weight=30),
        Target("outlines", ("offramp.drawing.outline",), _outlines, weight=30),
    )


@cache
def embedded() -> Bundle:
    """Return the embedded bundle, from which seeds are made."""
    return open_bundle(BUNDLE)


def of_bundle_file(
    folder: Path, name: str, seeds: Sequence[bytes], read: Callable[[Bundle], object]
) -> Attack:
    """Return an attack on one file of a bundle, as it is read once the bundle is open."""
    manifest, digest = embedded().manifest, embedded().digest
    entry = next(iter(manifest.files.values()))
    manifest = manifest.model_copy(update={"files": {name: entry}})
    read_bytes = of_file(folder / name, lambda path: read(Bundle(manifest, digest, folder)))
    return Attack(tuple(seeds), read_bytes)


def _manifests(folder: Path) -> Attack:
    """Read a manifest, and ask it what a server and a device ask."""

    def read(data: bytes) -> None:
        manifest, _ = decode_manifest(data, "fuzzed")
        encode_manifest(manifest)
        head_engines(manifest)
        codecs = BundleCodecs(manifest.boundaries, {})
        for cut, boundary in enumerate(manifest.boundaries):
            manifest.stops(cut)
            for level in boundary.levels:
                codecs.kinds(cut, level)
        device_part(manifest, list(BACKENDS.values()))

    return Attack((encode_manifest(embedded().manifest)[0],), read)


def _files(folder: Path) -> Attack:
    """Open a bundle file whose files are short, out of a cache that is full before long."""
    path = folder / "some.offramp"
    plain = embedded().manifest.model_dump(exclude={"files"})
    write_bundle(path, plain, {n: n.encode() for n in list(embedded().manifest.files)[::4]})
    return Attack((path.read_bytes(),), of_file(path, open_bundle))


def _folders(folder: Path) -> Attack:
    """Open a folder whose manifest is anything."""
    files = {name: name.encode() for name in list(embedded().manifest.files)[::4]}
    plain = embedded().manifest.model_dump(exclude={"files"})
    manifest, _ = write_bundle(folder / "x.offramp", plain, files)
    home = folder / "bundle"
    for name, data in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(data)
    seed = encode_manifest(manifest)[0]
    return Attack((seed,), of_file(home / MANIFEST, lambda path: open_bundle(path.parent)))


def _examples(folder: Path) -> Attack:
    tensors = embedded().manifest.boundaries[0].tensors
    few = save({one.name: np.zeros((1, *one.shape), one.dtype) for one in tensors})
    return of_bundle_file(folder, "examples.safetensors", (few,), lambda bundle: bundle.examples)


def _plans(folder: Path) -> Attack:
    seed = embedded().path(plans.FILE).read_bytes()
    few = json.loads(seed)
    few["plans"] = few["plans"][:3]
    seeds = (json.dumps(few).encode(),)
    return of_bundle_file(folder, plans.FILE, seeds, plans.frontier_of)


def _outlines(folder: Path) -> Attack:
    seed = embedded().path(outline.FILE).read_bytes()
    return Attack((seed,), lambda data: outline.read_outline(data, 8))

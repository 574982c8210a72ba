"""Targets: the samples of a run, profiles, and the files that runs write."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.fuzzing.bundles import embedded
from benchmarks.fuzzing.target import Attack, Target, of_file
from device.sources.frames import FileSource, StreamSource
from device.sources.images import ImageSource
from offramp.errors import InputError
from offramp.report.runs import parse_run
from offramp.tensors import TensorSpec
from partitioner.profile import Machine, Profile, Runner, Timing, load_profile
from sim.world.cells import Cell, read_cell

__all__ = ["targets"]

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


def targets() -> tuple[Target, ...]:
    """Return the targets of samples, profiles and runs."""
    frames = ("device.sources.frames",)
    return (
        Target("arrays on a stream", frames, _stream, weight=10),
        Target("arrays in a file", frames, _arrays, weight=10),
        *(
            Target(f"{name} images", ("device.sources.images",), partial(_images, name), weight=2)
            for name in _FORMATS
        ),
        Target("profiles", ("partitioner.profile",), _profiles, weight=6),
        Target("run files", ("offramp.report.runs",), _runs, weight=15),
        Target("simulated cells", ("sim.world.cells",), _cells, weight=25),
    )


def _stream(folder: Path) -> Attack:
    """Read samples until the stream ends, and check them as a run does."""
    spec = TensorSpec("x", "float32", (2, 3))

    def read(data: bytes) -> None:
        for sample in StreamSource(io.BytesIO(data)):
            sample.check([spec])

    return Attack((_npy(np.ones((2, 3), "float32")) * 2, _npy(np.ones((3, 2), "float32").T)), read)


def _arrays(folder: Path) -> Attack:
    """Read the samples of a file."""
    spec, file = TensorSpec("x", "float32", (2, 3)), io.BytesIO()
    np.savez(file, x=np.ones((2, 2, 3), "float32"), labels=np.arange(2))

    def read(path: Path) -> None:
        for sample in FileSource(path, ["x"]):
            sample.check([spec])

    seeds = (_npy(np.ones((2, 2, 3), "float32")), file.getvalue())
    return Attack(seeds, of_file(folder / "some.npz", read))


def _images(name: str, folder: Path) -> Attack:
    """Read a picture of one format."""
    pixels = np.indices((9, 11)).sum(axis=0)[..., None] * [5, 7, 11]
    seeds = []
    for mode in ("RGB", "L", "P"):
        file, picture = io.BytesIO(), Image.fromarray(pixels.astype("uint8")).convert(mode)
        if not (mode == "P" and name in ("JPEG", "WEBP")):
            picture.save(file, name)
            seeds.append(file.getvalue())
    spec = TensorSpec("image", "uint8", (8, 8, 3))
    home = folder / "images"
    home.mkdir()
    path = home / f"some.{name.lower()}"
    return Attack(tuple(seeds), of_file(path, lambda path: list(ImageSource(path.parent, spec))))


def _profiles(folder: Path) -> Attack:
    """Read a profile of the embedded bundle, and ask it what a planner asks."""
    manifest = embedded().manifest
    keys = [f"{at}/{level}" for at, b in enumerate(manifest.boundaries) for level in b.levels]
    cuts = len(manifest.boundaries)

    def timing(median_s: float) -> Timing:
        return Timing(median_s=median_s, p10_s=median_s, p90_s=2 * median_s, runs=3)

    whole = Profile(
        digest=embedded().digest,
        machine=Machine(processor="some", cores=2, system="Linux", python="3.11"),
        measured="2026-11-24",
        runners=(
            Runner(
                backend="onnxruntime",
                threads=1,
                version="1.31",
                head=tuple(timing(0.001 * at) for at in range(cuts)),
                tail=tuple(timing(0.001 * (cuts - 1 - at)) for at in range(cuts)),
                exits=(timing(0.0001),) * len(manifest.exits),
            ),
        ),
        encode=dict.fromkeys(keys, timing(0.001)),
        decode=dict.fromkeys(keys, timing(0.001)),
    )

    def read(path: Path) -> None:
        profile = load_profile(path, embedded())
        profile.slowed(8).between_s(1, 3)

    return Attack((whole.model_dump_json().encode(),), of_file(folder / "some.json", read))


def _runs(folder: Path) -> Attack:
    """Read a run's file, and ask it what a report asks first."""
    lines: tuple[dict[str, object], ...] = (
        {"kind": "run", "strategy": "offramp", "model": "m", "digest": "d", "segments": 8},
        {"kind": "plan", "at_s": 0.1, "id": "a", "cut": 2, "conditions": {"bandwidth_bps": 1e6}},
        {"kind": "load", "at_s": 0.2, "bandwidth_bps": 1e6},
        {"kind": "link", "at_s": -0.2, "up": True},
        {"kind": "result", "id": 0, "status": "ok", "by": "server", "answer": 3, "label": 3,
         "arrived_s": 1.0, "latency_s": 0.01, "deadline_s": 0.1, "spans": {"head_s": 0.002}},
        {"kind": "phases", "phases": [{"name": "a", "start_s": 0, "bandwidth_bps": 1e6}]},
    )  # fmt: skip
    seed = b"\n".join(json.dumps(line).encode() for line in lines)

    def read(data: bytes) -> None:
        run = parse_run(data.split(b"\n"), "some.jsonl")
        asdict(run)
        assert run.end_s >= 0

    return Attack((seed,), read)


def _cells(folder: Path) -> Attack:
    """Read the figures of a simulated run; damaged ones count as none."""
    path = folder / "some.json"
    seed = json.dumps({"strategy": "offramp", "groups": [{"name": "a", "requests": 3}]}).encode()

    def read(path: Path) -> None:
        if read_cell(Cell(path, "offramp", 1, path)) is None:
            raise InputError("there are no figures")

    return Attack((seed,), of_file(path, read))


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()

"""Targets: programs and weights, as backends and trainings read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.fuzzing.bundles import embedded
from benchmarks.fuzzing.target import Attack, Target, of_file
from offramp.backends.backend import Chain, Link
from offramp.backends.onnx_join import join_models

__all__ = ["targets"]


def targets() -> tuple[Target, ...]:
    """Return the targets of programs and weights."""
    torch_programs = ("offramp.backends.torch_program", "offramp.backends.torch_backend")
    return (
        Target("ONNX models", ("offramp.backends.onnxruntime_backend",), _models, weight=10),
        Target("programs", torch_programs, _programs, weight=30),
        Target("weights of trainings", ("offramp.training.weights",), _weights, weight=28),
    )


def _models(folder: Path) -> Attack:
    """Join a model to one that is sound."""
    home = embedded().folder / "segments"
    first, last = ((home / at / "model.onnx").read_bytes() for at in ("06", "07"))
    chain = Chain(
        (Link(folder / "06", ("a",), ("b",)), Link(folder / "07", ("b",), ("c",))), ("c",)
    )
    return Attack((last, first), lambda data: join_models([data, last], chain))


def _programs(folder: Path) -> Attack:
    """Build a program; nothing of it is run."""
    from safetensors.torch import load_file

    from offramp.backends.torch_program import build_program

    home = embedded().folder
    parts = [home / "exits/00", home / "segments/07"]
    weights = {n: w for part in parts for n, w in load_file(part / "weights.safetensors").items()}
    seeds = [(part / "program.json").read_bytes() for part in parts]
    return Attack(tuple(seeds), lambda data: build_program(data, weights))


def _weights(folder: Path) -> Attack:
    """Read a checkpoint of a training."""
    import torch

    from offramp.training.checkpoint import Position
    from offramp.training.weights import read_weights, write_weights

    path = folder / "some.checkpoint"
    tensors = {"model/a": torch.ones(2, 3), "model/b": torch.from_numpy(np.arange(4))}
    write_weights(path, Position(stage=1, epoch=2, best=0.5, accuracies=(0.5, 0.6)), tensors)
    seed = path.read_bytes()
    read = of_file(path, lambda path: read_weights(path, Position, "remove it to start anew"))
    return Attack((seed,), read)

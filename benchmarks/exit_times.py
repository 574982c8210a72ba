"""What an answer at each exit takes: multiply-adds, and time on this machine, of a bundle."""

from __future__ import annotations

import numpy as np

from benchmarks.exit_tasks import Trained
from offramp.bundle import open_bundle
from offramp.capture.compiler import CompileOptions, compile_model
from offramp.exits.recording import costs_of
from offramp.tensors import Array
from partitioner.measure import measure_profile
from partitioner.profile import load_profile

__all__ = ["measure_exits"]

ENGINE = ("onnxruntime", 1)
SAMPLES = 200
ROUNDS = 50


def measure_exits(trained: Trained) -> tuple[Array, Array]:
    """Return multiply-adds and seconds up to each exit and to the end, exits on the way included.

    Of one sample on one thread of ONNX Runtime, each head as one program. Bundle and profile are
    kept beside the weights, and taken from there if they exist.
    """
    kept = trained.kept
    path, measured = kept.with_suffix(".offramp"), kept.with_suffix(".profile.json")
    if not path.exists():
        held_out = trained.task.samples("held_out")[:SAMPLES]
        compile_model(trained.exits, held_out, path, CompileOptions(trained.task.name))
    bundle = open_bundle(path)
    if not measured.exists():
        profile = measure_profile(bundle, [ENGINE], rounds=ROUNDS)
        measured.write_text(profile.model_dump_json(indent=1))
    main = load_profile(measured).main
    ends = [*(spec.boundary for spec in bundle.manifest.exits), len(bundle.manifest.segments)]
    heads = np.cumsum([timing.median_s for timing in main.exits])
    reached = [main.head[end].median_s for end in ends]
    return costs_of(bundle.manifest), np.asarray(reached) + heads[[*range(len(heads)), -1]]

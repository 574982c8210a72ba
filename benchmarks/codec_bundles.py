"""The bundles that codecs are measured on: networks of `examples` with exits and a bottleneck."""

from __future__ import annotations

import hashlib
from pathlib import Path

from benchmarks.exit_tasks import TASKS, Task, train_task
from benchmarks.harness import BUNDLE
from offramp import __version__, codecs
from offramp.bundle import Bundle, open_bundle
from offramp.bundle.cache import cache_folder
from offramp.capture.compiler import CompileOptions, compile_model
from offramp.capture.early_exit import EarlyExitModel
from offramp.embedded.cluttered_digits import load
from offramp.samples import LabelledSamples
from offramp.training.bottleneck.session import parts_of, train_bottlenecks, untrained
from offramp.training.bottleneck.training import BottleneckSetup
from offramp.training.checkpoint import Checkpoints
from offramp.training.options import Progress, TrainingOptions
from offramp.training.samples import ArraySamples
from offramp.training.trained import load_trained, write_trained

__all__ = ["EMBEDDED", "NAMES", "bundle_of", "samples_of"]

EMBEDDED = "cluttered_digits"
EMBEDDED_MOST = 2000  # they are drawn one by one
NAMES = ("fashion_mnist", "cifar10", EMBEDDED, "banking77")
COMPILED = 3000
_BOTTLENECKS = {
    "fashion_mnist": ("stage2", 10),
    "cifar10": ("stage2", 20),
    "banking77": ("layer1", 40),
}
"""The sub-module behind which there is one, and for how many epochs it is trained."""


def samples_of(name: str, part: str, count: int) -> LabelledSamples:
    """Return the first samples of a part of a task: ``held_out`` or ``test``.

    Raises `ConfigError` where its data or its network are not here.
    """
    if name == EMBEDDED:
        images, labels = load(
            "calibration" if part == "held_out" else "test", min(count, EMBEDDED_MOST)
        )
        return LabelledSamples((images,), labels)
    return _task(name).samples(part)[:count]


def bundle_of(name: str) -> Bundle:
    """Return the task's network with frozen exits and a bottleneck; from the cache if it is there.

    The embedded one is as it is shipped. Training and compiling takes some minutes to half an hour.
    """
    if name == EMBEDDED:
        return open_bundle(BUNDLE)
    exits = train_task(_task(name), "frozen", "local")
    bottleneck = _train(name, exits.exits)
    compiled = f"{COMPILED} {__version__} {codecs.names()}".encode()
    parts = (exits.kept.read_bytes(), bottleneck.read_bytes(), compiled)
    key = hashlib.sha256(b"".join(parts)).hexdigest()[:12]
    path = _home() / f"codec-{name}-{key}.offramp"
    if not path.exists():
        print(f"compiling {name}", flush=True)
        _, whole = load_trained(bottleneck, _task(name).model)
        heads = dict(zip(exits.exits.paths, exits.exits.heads, strict=True))
        model = EarlyExitModel(whole.model, heads, whole.pairs)
        compile_model(model, samples_of(name, "held_out", COMPILED), path, CompileOptions(name))
    return open_bundle(path)


def _train(name: str, exits: EarlyExitModel) -> Path:
    """Return the file of the task's bottleneck, as ``offramp train --bottleneck`` writes it."""
    path, epochs = _BOTTLENECKS[name]
    training, held_out = (ArraySamples(_task(name).samples(part)) for part in ("train", "held_out"))
    options = TrainingOptions(epochs, rate=3e-3)
    setup = BottleneckSetup(exits.model, path, training, held_out, options)
    key = hashlib.sha256(repr(sorted(setup.describe().items())).encode()).hexdigest()[:12]
    kept = _home() / f"bottleneck-{name}-{key}.trained"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        known, whole = untrained(name), EarlyExitModel(exits.model, {})
        checkpoints = Checkpoints(kept, parts_of([setup]))
        write_trained(kept, *train_bottlenecks(known, whole, [setup], checkpoints, _show))
        checkpoints.remove()
    return kept


def _show(progress: Progress) -> None:
    if progress.accuracies is not None:
        print(f"{progress.stage}, epoch {progress.epoch}: loss {progress.loss:.3f}", flush=True)


def _task(name: str) -> Task:
    return next(task for task in TASKS if task.name == name)


def _home() -> Path:
    return cache_folder() / "benchmarks"

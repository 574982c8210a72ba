"""The tasks on which exits are measured: trained networks of `examples` and exits put on them."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from offramp.bundle import Ensemble
from offramp.bundle.cache import cache_folder
from offramp.capture.early_exit import EarlyExitModel
from offramp.errors import CaptureError
from offramp.exits import fit_temperature
from offramp.exits.ensemble import fit_ensemble, joint_classes
from offramp.exits.evidence import Evidence, Truth, as_logits, as_state, summarise
from offramp.exits.heads import build_head
from offramp.samples import LabelledSamples, as_labelled
from offramp.tensors import Array
from offramp.training import recipes
from offramp.training.attach import attach_exits
from offramp.training.options import TrainingOptions
from offramp.training.samples import ArraySamples
from offramp.training.setup import TrainingSetup
from offramp.training.survey import Survey, survey
from offramp.training.trainer import train

__all__ = ["TASKS", "Recorded", "Task", "Trained", "record", "train_task"]

BATCH = 250
LESSONS = 15_000
"""So many of the training samples teach the policies that learn."""


@dataclass(frozen=True)
class Task:
    """A package of `examples`, its sub-modules that get exits, and how these are trained.

    ``epochs`` are those of each stage.
    """

    name: str
    exits: tuple[str, ...]
    heads: tuple[str, ...]
    epochs: int = 6

    @property
    def model(self) -> Any:
        """Its trained network; raises `ConfigError` where it has not been trained yet."""
        return importlib.import_module(f"examples.{self.name}.model").trained()

    def samples(self, part: str) -> LabelledSamples:
        """Its samples: ``train``, ``held_out`` or ``test``."""
        module = importlib.import_module(f"examples.{self.name}.data")
        return as_labelled(getattr(module, part)())


IMAGES = ("local", "linear", "global", "latent")
SEQUENCES = ("linear", "sequence", "local", "global", "latent")
TASKS = (
    Task("fashion_mnist", ("stage1.0", "stage1", "stage2"), IMAGES, 3),
    Task("cifar10", ("stage1.0", "stage1", "stage2"), IMAGES, 3),
    Task("banking77", ("layer1", "layer2", "layer4"), SEQUENCES),
    Task("spoken_digits", ("stage", "layer1", "layer3"), SEQUENCES),
)


@dataclass(frozen=True)
class Recorded:
    """What exits said of samples: some that trained them, to learn from, and others.

    Held-out samples are there to choose by; nothing has seen the test samples. ``ensembles`` holds
    for each exit how the end answers together with it, if held-out samples say that it should.
    """

    train: Evidence
    held_out: Evidence
    test: Evidence
    ensembles: tuple[Ensemble | None, ...]

    def end_right(self, evidence: Evidence, at: int) -> NDArray[np.bool_]:
        """Tell whether the end is right, together with an exit if these are an ensemble: (N,)."""
        ensemble, truth = self.ensembles[at], evidence.recorded
        if ensemble is None:
            return evidence.right[-1]
        both = joint_classes(ensemble, evidence.logits[at], truth.final_logits)
        return np.asarray(both == truth.labels)


@dataclass(frozen=True)
class Trained:
    """A task's network with exits that have been trained; ``kept`` is where its weights are."""

    task: Task
    exits: EarlyExitModel
    found: Survey
    kept: Path


def train_task(task: Task, recipe: str, head: str) -> Trained:
    """Train exits of a kind on a task's network, or take them from the cache.

    An exit whose feature the kind does not fit gets a linear head.
    """
    training = ArraySamples(task.samples("train"))
    model = task.model
    found = survey(model, training.batch(range(2)), task.exits)
    kinds = {path: head if _fits(head, found, path) else "linear" for path in task.exits}
    exits = attach_exits(model, found, kinds, seed=0)
    setup = TrainingSetup(
        exits, recipes.get(recipe), training, options=TrainingOptions(task.epochs)
    )
    kept = _kept(setup, f"{task.name}-{head}")
    if kept.exists():
        exits.load_state_dict(load_file(kept))
    else:
        print(f"training {task.name}: {recipe}, {head}", flush=True)
        train(setup)
        kept.parent.mkdir(parents=True, exist_ok=True)
        save_file(exits.state_dict(), kept)
    return Trained(task, exits.eval(), found, kept)


def record(trained: Trained, macs: Array) -> Recorded:
    """Run samples of every part through exits and network.

    ``macs`` (E + 1,) are the multiply-adds up to each exit and to the end.
    """
    parts = {part: trained.task.samples(part) for part in ("train", "held_out", "test")}
    parts["train"] = parts["train"][:LESSONS]
    raw = {part: _run(trained.exits, samples) for part, samples in parts.items()}
    labels = parts["held_out"].labels
    heats = [fit_temperature(logits, labels) for logits in raw["held_out"][0]]
    seen = {part: _evidence(raw[part], heats, parts[part], macs) for part in parts}
    final = seen["held_out"].recorded.final_logits
    ensembles = tuple(fit_ensemble(logits, final, labels) for logits in seen["held_out"].logits)
    return Recorded(**seen, ensembles=ensembles)


def _fits(head: str, found: Survey, path: str) -> bool:
    try:
        build_head(head, found.place(path).tensor, found.classes)
    except CaptureError:  # such as a head of sequences on an image feature
        return False
    return True


def _kept(setup: TrainingSetup, name: str) -> Path:
    """Return where the weights are kept of exits that are trained so, on this very network."""
    text = str(sorted(setup.describe().items()))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return cache_folder() / "benchmarks" / f"exits-{name}-{digest}.safetensors"


_Raw = tuple[list[Array], list[Array]]
"""The logits of each exit and of the model last, and the state that each exit read."""


def _run(model: EarlyExitModel, samples: LabelledSamples) -> _Raw:
    parts = list(_run_batches(model, samples))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    exits = len(model.paths)
    return columns[: exits + 1], columns[exits + 1 :]


def _run_batches(model: EarlyExitModel, samples: LabelledSamples) -> Iterator[list[Array]]:
    modules, read = dict(model.model.named_modules()), {}

    def keep(path: str, output: torch.Tensor) -> None:
        read[path] = as_state(output.numpy())

    hooks = [
        modules[path].register_forward_hook(lambda _m, _i, output, path=path: keep(path, output))
        for path in model.paths
    ]
    with torch.no_grad():
        for at in range(0, len(samples), BATCH):
            inputs = [torch.from_numpy(array) for array in samples[at : at + BATCH].inputs]
            answers = [answer.numpy() for answer in model(*inputs)]
            yield [*answers, *(read[path] for path in model.paths)]
    for hook in hooks:
        hook.remove()


def _evidence(raw: _Raw, heats: list[float], samples: LabelledSamples, macs: Array) -> Evidence:
    logits, states = raw
    *exits, final = (as_logits(z, heat) for z, heat in zip(logits, heats, strict=True))
    return Evidence(
        tuple(exits), tuple(states), summarise(samples.inputs), Truth(samples.labels, final, macs)
    )

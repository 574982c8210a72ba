"""Training of one bottleneck, epoch by epoch, from its checkpoint on if there is one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from offramp import codecs
from offramp.bottlenecks import Bottleneck, build_bottleneck
from offramp.codecs.latent import Latent
from offramp.errors import InputError, TrainingError
from offramp.training.bottleneck.cut_model import CutAfter, cut_after
from offramp.training.bottleneck.density import Density
from offramp.training.bottleneck.teaching import Lesson
from offramp.training.checkpoint import (
    Checkpoint,
    Position,
    merge_tensors,
    optimiser_tensors,
    restore_optimiser,
    split_tensors,
)
from offramp.training.options import InEpochs, Progress, TrainingOptions, one_cycle
from offramp.training.samples import Batch, TrainingSamples
from offramp.training.seeding import own_randomness, seed_all
from offramp.training.trained import TrainedLevel
from offramp.training.weights import digest_weights

__all__ = ["BottleneckSetup", "train_bottleneck"]

_SEEN = 256  # samples that tell mean and deviation of the features
_TESTED = 2000
_EVALUATED = 250
_MIDDLE_STEP = 2.0

Report = Callable[[Progress], None]


@dataclass(frozen=True)
class BottleneckSetup(InEpochs):
    """A model that stays as it is, the sub-module behind which the pair is, and samples.

    Labels are not looked at. ``references`` name the functions that gave model and samples, where
    they are known.
    """

    model: nn.Module
    path: str
    training: TrainingSamples
    held_out: TrainingSamples | None = None
    options: TrainingOptions = field(default_factory=TrainingOptions)
    references: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def cut(self) -> CutAfter:
        """The model, cut."""
        return cut_after(self.model, self.training.batch(range(2)), self.path)

    def describe(self) -> dict[str, str]:
        """Return what decides the result, by name."""
        return {
            **self.references,
            "bottleneck": self.path,
            "samples": str(len(self.training)),
            "held-out samples": str(len(self.held_out or ())),
            **self.chosen,
            "initial weights": digest_weights(self.model.state_dict()),
        }

    @property
    def chosen(self) -> dict[str, str]:
        """What was chosen of the options that count here, by name."""
        every = self.options.describe()
        return {name: value for name, value in every.items() if name != "backbone_rate"}

    def check(self) -> None:
        """Raise what `train_bottleneck` raises of the model and the number of samples."""
        if len(self.training) < 2:
            raise InputError("one sample is too few to train on; give two at least")
        build_bottleneck(self.cut.tensor)

    def lesson(self) -> Lesson:
        """Return an untrained pair with its density, where it is to be."""
        rows = _spread(len(self.training), _SEEN)
        features = self.cut.reach(self.training.batch(rows))[self.cut.tensor.name]
        pair = build_bottleneck(self.cut.tensor, rectified=bool(features.min() >= 0))
        pair.decoder.fit(features)
        return Lesson(self.cut, pair, Density(pair.latent_shape[0]))

    def tested(self) -> Iterator[Batch]:
        """Yield held-out samples, some at a time."""
        if self.held_out is not None:
            rows = _spread(len(self.held_out), _TESTED)
            for start in range(0, len(rows), _EVALUATED):
                batch = self.held_out.batch(rows[start : start + _EVALUATED])
                yield batch.to(self.options.device)


def train_bottleneck(
    setup: BottleneckSetup,
    checkpoint: Path | None = None,
    report: Report = lambda progress: None,
) -> tuple[Bottleneck, tuple[TrainedLevel, ...]]:
    """Return a trained pair, on the processor and in eval mode, and its levels.

    These are empty without held-out samples. The weights that lost least of them are kept. The same
    seed and options give the same weights on one kind of processor and torch version, interrupted
    or not. Raises `CaptureError` if the model cannot be cut there or there is no pair for what
    crosses, `TrainingError` if losses are no numbers, and `ConfigError` if the checkpoint cannot be
    written or is of another training.
    """
    setup.check()
    file = Checkpoint(checkpoint, setup.describe()) if checkpoint else None
    with own_randomness():
        seed_all(setup.options.seed)
        lesson = setup.lesson()
        lesson.to(setup.options.device)
        try:
            run = _Run(setup, lesson, file)
            run.finish(report)
            levels = tuple(_levels(setup, lesson))
        except torch.OutOfMemoryError:
            raise TrainingError(
                f"the memory of {setup.options.device} is full; train with a smaller --batch"
            ) from None
        finally:
            lesson.to("cpu")
    return lesson.pair.eval(), levels


def _spread(count: int, most: int) -> Sequence[int]:
    """Return at most so many rows, evenly spread: samples may come sorted."""
    rows: list[int] = np.linspace(0, count - 1, min(count, most)).astype(int).tolist()
    return rows


class _Run:
    """A training under way; it goes on from the file if there is one."""

    def __init__(self, setup: BottleneckSetup, lesson: Lesson, file: Checkpoint | None) -> None:
        options = setup.options
        self._setup, self._lesson, self._file = setup, lesson, file
        self._learning = nn.ModuleDict({"pair": lesson.pair, "density": lesson.density})
        self._optimiser = torch.optim.AdamW(
            self._learning.parameters(), lr=options.rate, weight_decay=options.weight_decay
        )
        self._position, self._best = Position(), dict[str, Tensor]()
        resumed = file.read() if file else None
        if resumed:
            self._position, tensors = resumed
            self._best = split_tensors(tensors, "best")
            self._learning.load_state_dict(split_tensors(tensors, "model"))
            restore_optimiser(self._optimiser, split_tensors(tensors, "optimiser"))

    def finish(self, report: Report) -> None:
        """Train to the end, and leave the best weights."""
        options = self._setup.options
        while self._position.epoch < options.epochs and self._position.waited < options.patience:
            loss = self._train_epoch(report)
            done = self._progress(self._setup.steps, loss)
            tested = self._test()
            # A position holds what is best where it is highest.
            self._position = self._position.after(tested and (-tested[0],))
            if tested and not self._position.waited:
                state = self._learning.state_dict()
                self._best = {name: tensor.detach().clone() for name, tensor in state.items()}
            if self._file:
                self._file.write(self._position, self._tensors())
            report(done(tested[1:] if tested else ()))
        if self._best:
            self._learning.load_state_dict(self._best)

    def _train_epoch(self, report: Report) -> float:
        setup, epoch = self._setup, self._position.epoch
        random = seed_all(setup.options.seed, epoch)
        self._learning.train()
        rows = torch.randperm(len(setup.training), generator=random).tolist()
        total = 0.0
        for step in range(setup.steps):
            batch = setup.training.batch(rows[step * setup.batch :][: setup.batch])
            loss = self._lesson.learn(batch.to(setup.options.device), random).loss
            total += self._step(loss, epoch * setup.steps + step + 1)
            report(self._progress(step + 1, total / (step + 1))(None))
        return total / setup.steps

    def _step(self, loss: Tensor, step: int) -> float:
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is {value} at step {step}; look for samples that hold no numbers, or "
                "lower the rate"
            )
        share = one_cycle(step / (self._setup.options.epochs * self._setup.steps))
        for group in self._optimiser.param_groups:
            group["lr"] = self._setup.options.rate * share
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        return value

    def _test(self) -> tuple[float, float] | None:
        """Return the loss on held-out samples at a middle step, and how many stay the same."""
        self._learning.eval()
        found = [self._lesson.test(batch, _MIDDLE_STEP) for batch in self._setup.tested()]
        if not found:
            return None
        count = sum(one.count for one in found)
        loss = sum(float(one.loss) * one.count for one in found) / count
        return loss, sum(one.same for one in found) / count

    def _progress(self, step: int, loss: float) -> Callable[[tuple[float, ...] | None], Progress]:
        stage, epoch = f"bottleneck behind {self._setup.path}", self._position.epoch + 1
        epochs, steps = self._setup.options.epochs, self._setup.steps
        return lambda tested: Progress(stage, epoch, epochs, step, steps, loss, tested)

    def _tensors(self) -> dict[str, Tensor]:
        return merge_tensors(
            {
                "model": self._learning.state_dict(),
                "best": self._best,
                "optimiser": optimiser_tensors(self._optimiser),
            }
        )


def _levels(setup: BottleneckSetup, lesson: Lesson) -> Iterator[TrainedLevel]:
    """Yield every codec level of latents with what it does to held-out samples."""
    lesson.pair.eval()
    for codec in map(codecs.get, codecs.names()):
        if isinstance(codec, Latent):
            found = [lesson.test(batch, codec.step) for batch in setup.tested()]
            count = sum(one.count for one in found)
            if count:
                bits = sum(float(one.bits) * one.count for one in found)
                same = sum(one.same for one in found)
                yield TrainedLevel(
                    level=codec.name, bytes=bits / count / 8, same_share=same / count
                )

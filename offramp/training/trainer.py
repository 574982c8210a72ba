"""The trainer: carries out a recipe, stage by stage, from a checkpoint on if there is one."""

from __future__ import annotations

from pathlib import Path

import torch

from offramp.errors import ConfigError, TrainingError
from offramp.training.checkpoint import Checkpoint, Position
from offramp.training.recipes import share_epochs
from offramp.training.seeding import own_randomness
from offramp.training.setup import TrainingSetup
from offramp.training.stage import Report, StageRun

__all__ = ["train"]


def train(
    setup: TrainingSetup, checkpoint: Path | None = None, report: Report = lambda progress: None
) -> tuple[float, ...]:
    """Train a model's exits; leave it on the processor, in eval mode and free to be trained.

    Returns the held-out accuracy of each exit and of the model last, if there are such samples.
    The same seed and options give the same weights on one kind of processor and torch version,
    interrupted or not. Raises `TrainingError` if losses or logits are no numbers, `InputError`
    for samples that cannot be learnt from, and `ConfigError` if the checkpoint cannot be written
    or is of another training.
    """
    setup.check()
    epochs = share_epochs(setup.stages, setup.options.epochs)
    file = Checkpoint(checkpoint, setup.describe()) if checkpoint else None
    trainable = setup.trainable
    with own_randomness():
        setup.to(setup.options.device)
        try:
            return _run_stages(setup, epochs, file, report)
        except torch.OutOfMemoryError:
            raise TrainingError(
                f"the memory of {setup.options.device} is full; train with a smaller --batch"
            ) from None
        finally:
            setup.to("cpu")
            setup.model.eval()
            for name, parameter in setup.model.named_parameters():
                parameter.requires_grad_(name in trainable)


def _run_stages(
    setup: TrainingSetup, epochs: tuple[int, ...], file: Checkpoint | None, report: Report
) -> tuple[float, ...]:
    resumed = file.read() if file else None
    if resumed:
        _check_position(resumed[0], epochs)
    first = resumed[0].stage if resumed else 0
    accuracies: tuple[float, ...] = ()
    for number in range(first, len(epochs)):
        run = StageRun(setup, setup.stages[number], epochs[number], number)
        if resumed and number == first:
            run.restore(*resumed)
        run.finish(file, report)
        accuracies = run.position.accuracies
    return accuracies


def _check_position(position: Position, epochs: tuple[int, ...]) -> None:
    stage, epoch = position.stage, position.epoch
    if stage >= len(epochs) or epoch > epochs[stage]:
        raise ConfigError(
            f"the checkpoint claims epoch {epoch} of stage {stage + 1}, but the stages have "
            f"{' and '.join(map(str, epochs))} epochs; remove it to start anew"
        )

"""One stage of a recipe under way: epochs of steps, the best weights, the checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from offramp.errors import ConfigError, TrainingError
from offramp.training.checkpoint import (
    Checkpoint,
    Position,
    merge_tensors,
    optimiser_tensors,
    restore_optimiser,
    split_tensors,
)
from offramp.training.options import Progress, one_cycle
from offramp.training.recipes import Stage
from offramp.training.samples import check_range, check_variety
from offramp.training.seeding import seed_all
from offramp.training.setup import TrainingSetup

__all__ = ["Report", "StageRun"]

Report = Callable[[Progress], None]


class StageRun:
    """A stage that runs for ``epochs`` epochs from a position on.

    All randomness of an epoch comes from the seed, the stage and the epoch, so that what goes on
    from a checkpoint ends with the same weights.
    """

    def __init__(self, setup: TrainingSetup, stage: Stage, epochs: int, number: int) -> None:
        self.position = Position(stage=number)
        self._setup, self._stage, self._epochs = setup, stage, epochs
        self._model = setup.model
        self._best: dict[str, Tensor] = {}
        self._loss = nn.ModuleList()
        if isinstance(stage.loss, nn.Module):
            self._loss.append(stage.loss.to(setup.options.device))
        for name, parameter in self._model.named_parameters():
            learns = stage.backbone or name.startswith("heads.")
            parameter.requires_grad_(learns and name in setup.trainable)
        heads = [*self._model.heads.parameters(), *self._loss.parameters()]
        groups = [{"params": heads, "highest": setup.options.rate}]
        if stage.backbone:
            backbone = [p for p in self._model.model.parameters() if p.requires_grad]
            groups.append({"params": backbone, "highest": setup.options.backbone_rate})
        self._optimiser = torch.optim.AdamW(groups, weight_decay=setup.options.weight_decay)

    def restore(self, position: Position, tensors: dict[str, Tensor]) -> None:
        """Go on from a checkpoint; raise `ConfigError` if it is of another model."""
        self.position = position
        self._best = split_tensors(tensors, "best")
        try:
            self._model.load_state_dict(split_tensors(tensors, "model"))
            self._loss.load_state_dict(split_tensors(tensors, "loss"))
            restore_optimiser(self._optimiser, split_tensors(tensors, "optimiser"))
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"the checkpoint is of another model ({reason}); remove it to start anew"
            ) from None

    def finish(self, file: Checkpoint | None, report: Report) -> None:
        """Train to the end of the stage; keep the weights that answered held-out samples best.

        Those that the stage before ended with are among them.
        """
        patience = self._setup.options.patience
        if self.position.stage and not self.position.epoch:
            self._note(self._setup.accuracies(), epochs=0)
        while self.position.epoch < self._epochs and self.position.waited < patience:
            loss = self._train_epoch(report)
            accuracies = self._setup.accuracies()
            done = self._progress(self._setup.steps, loss, accuracies or ())
            self._note(accuracies)
            if file:
                file.write(self.position, self._tensors())
            report(done)
        if self._best:
            self._model.load_state_dict(self._best)

    def _note(self, accuracies: tuple[float, ...] | None, epochs: int = 1) -> None:
        self.position = self.position.after(accuracies, epochs)
        if accuracies and not self.position.waited:
            self._best = {k: t.detach().clone() for k, t in self._model.state_dict().items()}

    def _train_epoch(self, report: Report) -> float:
        """Train on the samples in batches of one size; return the mean loss."""
        setup = self._setup
        order = seed_all(setup.options.seed, self.position.stage, self.position.epoch)
        self._model.train()
        for module in setup.still(self._stage):  # its batch statistics must not move either
            module.training = False
        rows = torch.randperm(len(setup.training), generator=order).tolist()
        total, seen = 0.0, set[int]()
        for step in range(setup.steps):
            total += self._step(step + 1, rows[step * setup.batch :][: setup.batch], seen)
            report(self._progress(step + 1, total / (step + 1)))
        if setup.recipe.needs_labels and self.position.epoch == 0:
            self._check_variety(seen, rows[setup.steps * setup.batch :])
        return total / setup.steps

    def _check_variety(self, seen: set[int], left: list[int]) -> None:
        """Raise `InputError` if all labels are the same, those of the rows that are left too."""
        if len(seen) < 2 and left:
            labels = self._setup.training.batch(left).labels
            seen |= set() if labels is None else set(labels.tolist())
        check_variety(seen)

    def _step(self, step: int, rows: list[int], seen: set[int]) -> float:
        """Learn from one batch; return its loss and add its labels to those seen."""
        batch = self._setup.training.batch(rows).to(self._setup.options.device)
        answers = self._setup.answers(batch)
        labels = answers.labels.tolist()
        check_range(min(labels), max(labels), answers.exits[0].shape[1])
        seen.update(labels)
        loss = self._stage.loss(answers)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is {value} at step {step} of epoch {self.position.epoch + 1} of stage "
                f"{self._stage.name!r}; look for samples that hold no numbers, or lower the rate"
            )
        steps = self._epochs * self._setup.steps
        share = one_cycle((self.position.epoch * self._setup.steps + step) / steps)
        for group in self._optimiser.param_groups:
            group["lr"] = group["highest"] * share
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        return value

    def _tensors(self) -> dict[str, Tensor]:
        return merge_tensors(
            {
                "model": self._model.state_dict(),
                "best": self._best,
                "loss": self._loss.state_dict(),
                "optimiser": optimiser_tensors(self._optimiser),
            }
        )

    def _progress(
        self, step: int, loss: float, accuracies: tuple[float, ...] | None = None
    ) -> Progress:
        epoch, steps = self.position.epoch + 1, self._setup.steps
        return Progress(self._stage.name, epoch, self._epochs, step, steps, loss, accuracies)

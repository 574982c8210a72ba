"""What is trained, by which recipe, on which samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import nn

from offramp.capture.early_exit import EarlyExitModel
from offramp.errors import InputError, TrainingError
from offramp.training.options import InEpochs, TrainingOptions
from offramp.training.recipes import Answers, Recipe, Stage
from offramp.training.samples import Batch, TrainingSamples, check_labels, check_range
from offramp.training.seeding import own_randomness, seed_all
from offramp.training.slimming.device_part import catch_output
from offramp.training.survey import Survey, logits_of, survey
from offramp.training.weights import digest_weights

__all__ = ["Lesson", "TrainingSetup"]

_EVALUATED = 250


@dataclass(frozen=True)
class Lesson:
    """What a slimmed model learns from: the model that it was, which stays as it is.

    ``share`` of the inner widths up to the sub-module ``until`` are left. The sub-modules ``still``
    come behind it and stay as they are, batch statistics included. ``accuracies`` are those of the
    original, as `train` returned them.
    """

    original: EarlyExitModel
    until: str
    share: float
    still: frozenset[str]
    accuracies: tuple[float, ...] = ()


@dataclass(frozen=True)
class TrainingSetup(InEpochs):
    """A model with exits, a recipe, samples to train on and, if any, held-out ones.

    A slimmed model has a ``lesson``. ``references`` name the functions that gave model and samples,
    where they are known.
    """

    model: EarlyExitModel
    recipe: Recipe
    training: TrainingSamples
    held_out: TrainingSamples | None = None
    options: TrainingOptions = field(default_factory=TrainingOptions)
    lesson: Lesson | None = None
    references: Mapping[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Raise `InputError` for labels that are known to be wrong, `CaptureError` for the model.

        Samples of which only some are read at a time are checked as they come.
        """
        if len(self.training) < 2:
            raise InputError("one sample is too few to train on; give two at least")
        if self.recipe.needs_labels:
            classes = self._first.exits[0].shape[1]
            for samples in filter(None, (self.training, self.held_out)):
                check_labels(samples, classes)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The recipe's stages for this model."""
        found, paths = self.survey, self.model.paths
        costs = [found.place(path).macs / max(found.macs, 1) for path in paths]
        with own_randomness():
            seed_all(self.options.seed)
            return self.recipe.stages(costs)

    @cached_property
    def survey(self) -> Survey:
        """What the model's sub-modules return and cost."""
        return survey(self.model.model, self.few, self.model.paths)

    @cached_property
    def trainable(self) -> frozenset[str]:
        """The parameters of the model that its factory left free to be trained."""
        return frozenset(n for n, p in self.model.named_parameters() if p.requires_grad)

    @cached_property
    def initial_weights(self) -> str:
        """The digest of the weights with which the training begins."""
        return digest_weights(self.model.state_dict())

    def still(self, stage: Stage) -> list[nn.Module]:
        """Return the sub-modules that a stage leaves as they are, frozen ones included."""
        kept = self.lesson.still if self.lesson else ()
        modules = self.model.model.named_modules()
        return [
            module
            for path, module in modules
            if not stage.backbone or path in kept or _is_frozen(module)
        ]

    def to(self, device: str) -> None:
        """Move the model to a device, and the one that it learns from."""
        self.model.to(device)
        if self.lesson:
            self.lesson.original.to(device)

    def describe(self) -> dict[str, str]:
        """Return what decides the result, by name."""
        heads = zip(self.model.paths, self.model.heads, strict=True)
        weights = [(path, sum(p.numel() for p in head.parameters())) for path, head in heads]
        return {
            **self.references,
            "recipe": self.recipe.name,
            "exits": ", ".join(f"{path} ({count} weights)" for path, count in weights),
            "samples": str(len(self.training)),
            "held-out samples": str(len(self.held_out or ())),
            **self.options.describe(),
            **self.slimming,
            "initial weights": self.initial_weights,
        }

    @property
    def slimming(self) -> dict[str, str]:
        """What is slimmed and how much of it stays, by name; nothing of a model that is not."""
        return {"slim": f"{self.lesson.share} until {self.lesson.until}"} if self.lesson else {}

    def answers(self, batch: Batch) -> Answers:
        """Return what the model says of a batch, with the labels that the recipe teaches.

        Raises `TrainingError` that says what the model raised, if it did.
        """
        if not self.lesson:
            return self._answers(self.model, batch)
        before, until = self.lesson.original, self.lesson.until
        with torch.no_grad(), catch_output(before.model.get_submodule(until)) as theirs:
            original = replace(self._answers(before, batch), boundary=theirs[0])
        with catch_output(self.model.model.get_submodule(until)) as ours:
            answers = self._answers(self.model, batch)
        return replace(answers, labels=original.labels, boundary=ours[0], original=original)

    def _answers(self, model: EarlyExitModel, batch: Batch) -> Answers:
        try:
            *exits, returned = model(*batch.positional, **batch.keyword)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever the user's model raises
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise TrainingError(f"the model fails on a batch of samples: {reason}") from error
        final = logits_of(returned)
        kinds = tuple(type(head).__qualname__ for head in model.heads)
        labels = batch.labels if self.recipe.needs_labels else final.detach().argmax(1)
        if labels is None:
            raise InputError(f"recipe {self.recipe.name!r} needs labels; label_free needs none")
        return Answers(tuple(exits), final, labels, kinds=kinds)

    def accuracies(self) -> tuple[float, ...] | None:
        """Return the held-out accuracy of each exit, and of the model last.

        Raises `TrainingError` if one of them answers with NaN, and `InputError` for labels that
        are out of range.
        """
        if self.held_out is None:
            return None
        names = (*(f"the exit after {path}" for path in self.model.paths), "the model")
        right = [0] * len(names)
        self.model.eval()
        with torch.no_grad():
            for start in range(0, len(self.held_out), _EVALUATED):
                rows = range(start, min(start + _EVALUATED, len(self.held_out)))
                found = self.answers(self.held_out.batch(rows).to(self.options.device))
                labels = found.labels.tolist()
                check_range(min(labels), max(labels), found.final.shape[1])
                for at, logits in enumerate((*found.exits, found.final)):
                    if logits.isnan().any():
                        raise TrainingError(f"{names[at]} answers held-out samples with NaN")
                    right[at] += int((logits.argmax(1) == found.labels).sum())
        return tuple(count / len(self.held_out) for count in right)

    @property
    def few(self) -> Batch:
        """Two samples, to look at what the model does with them."""
        return self.training.batch(range(min(2, len(self.training))))

    @property
    def _first(self) -> Answers:
        self.model.eval()
        with torch.no_grad():
            return self.answers(self.few)


def _is_frozen(module: nn.Module) -> bool:
    """Tell whether a module has parameters of its own and none of them learns now."""
    own = list(module.parameters(recurse=False))
    return bool(own) and not any(parameter.requires_grad for parameter in own)

"""Samples to train on: a user's arrays or torch Dataset, read a batch at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from offramp.errors import InputError
from offramp.samples import LabelledSamples, Samples, as_labelled, as_samples

__all__ = ["ArraySamples", "Batch", "TrainingSamples", "check_labels", "read_samples"]


@dataclass(frozen=True)
class Batch:
    """Inputs of some samples, by place and by name, and int64 labels (samples,) if known."""

    positional: tuple[Tensor, ...]
    keyword: Mapping[str, Tensor]
    labels: Tensor | None

    def to(self, device: str) -> Batch:
        """Return the batch on a device."""
        return Batch(
            tuple(tensor.to(device) for tensor in self.positional),
            {name: tensor.to(device) for name, tensor in self.keyword.items()},
            None if self.labels is None else self.labels.to(device),
        )


class TrainingSamples(ABC):
    """N samples, of which any rows can be had as a batch."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batch(self, rows: Sequence[int]) -> Batch:
        """Return the samples of these rows; raise `InputError` if they are not as they must be."""


class ArraySamples(TrainingSamples):
    """Samples held as arrays."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, rows: Sequence[int]) -> Batch:
        """Return the samples of these rows."""
        some = self.samples[list(rows)]
        labels = some.labels if isinstance(some, LabelledSamples) else None
        return Batch(
            tuple(torch.from_numpy(array) for array in some.positional),
            {name: torch.from_numpy(array) for name, array in some.keyword.items()},
            None if labels is None else torch.from_numpy(labels),
        )


class _DatasetSamples(TrainingSamples):
    """Samples of a torch Dataset, each (inputs, label), or inputs alone if none are needed."""

    def __init__(self, dataset: Dataset[Any], labelled: bool) -> None:
        self._dataset, self._labelled = dataset, labelled
        try:
            self._count = len(dataset)  # type: ignore[arg-type]
        except TypeError:
            raise InputError(
                f"{type(dataset).__name__} has no length; return a Dataset with __len__"
            ) from None

    def __len__(self) -> int:
        return self._count

    def batch(self, rows: Sequence[int]) -> Batch:
        """Return the samples of these rows."""
        try:
            items = [self._dataset[row] for row in rows]
            collated = default_collate(items)
        except Exception as error:  # whatever the user's dataset raises
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise InputError(
                f"samples {min(rows)} to {max(rows)} of {type(self._dataset).__name__} cannot be "
                f"put into a batch ({reason}); correct the dataset"
            ) from error
        if _is_pair(items[0]):
            inputs, labels = collated
            return replace(_inputs(inputs), labels=_labels(labels))
        if self._labelled:
            raise InputError(
                f"samples of {type(self._dataset).__name__} are no pairs (inputs, label)"
            )
        return _inputs(collated)


def read_samples(value: Any, labelled: bool) -> TrainingSamples:
    """Read what a user's data function returned.

    That is a torch Dataset of (inputs, label), or (inputs, labels) as arrays; without ``labelled``
    also the inputs alone. Inputs are one array or tensor, a tuple by place, or a mapping of names.
    Raises `InputError` that says what is wrong, such as that there are no samples.
    """
    if isinstance(value, Dataset):
        found: TrainingSamples = _DatasetSamples(value, labelled)
    elif labelled or _looks_labelled(value):
        found = ArraySamples(as_labelled(value))
    else:
        found = ArraySamples(as_samples(value))
    if not len(found):
        raise InputError("there are 0 samples; return one at least")
    return found


def check_labels(samples: TrainingSamples, classes: int) -> None:
    """Raise `InputError` if known labels are of one class, or beyond the model's."""
    if isinstance(samples, ArraySamples) and isinstance(samples.samples, LabelledSamples):
        labels = samples.samples.labels
        check_range(int(labels.min()), int(labels.max()), classes)
        check_variety({int(label) for label in np.unique(labels)})


def check_range(least: int, most: int, classes: int) -> None:
    """Raise `InputError` unless labels are between 0 and ``classes - 1``."""
    if least < 0 or most >= classes:
        wrong = least if least < 0 else most
        raise InputError(
            f"label {wrong} is out of range; there are {classes} classes, 0 to {classes - 1}"
        )


def check_variety(seen: set[int]) -> None:
    """Raise `InputError` if the labels that were seen are all the same."""
    if len(seen) < 2:
        raise InputError(f"every label is {min(seen)}; samples of two classes are needed at least")


def _looks_labelled(value: Any) -> bool:
    """Tell a pair (inputs, labels) from two inputs: its second is one integer for each sample."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        return False
    if isinstance(value[1], Mapping):
        return False
    second = np.asarray(value[1])
    return second.ndim == 1 and second.dtype.kind in "iu"


def _is_pair(item: Any) -> bool:
    if not isinstance(item, tuple | list) or len(item) != 2:
        return False
    label = item[1]
    return isinstance(label, int | np.integer) or (
        isinstance(label, Tensor | np.ndarray) and label.ndim == 0
    )


def _inputs(collated: Any) -> Batch:
    places, names = (list(collated) if isinstance(collated, tuple | list) else [collated]), {}
    if places and isinstance(places[-1], Mapping):
        names = places.pop()
    for value in (*places, *names.values()):
        if not isinstance(value, Tensor):
            raise InputError(f"an input is a {type(value).__name__}; a dataset gives tensors")
    return Batch(tuple(places), dict(names), None)


def _labels(labels: Any) -> Tensor:
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.dtype is torch.bool:
        kind = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise InputError(f"labels must be integers, not {kind}")
    return labels.to(torch.int64)

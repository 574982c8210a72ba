"""Evidence: what has been seen of some samples up to an exit; all that an exit policy may read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from offramp.errors import InputError
from offramp.tensors import Array

__all__ = ["Evidence", "Truth", "as_logits", "as_state", "summarise"]

_LARGE = 1e6  # as a logit: as good as infinite, and yet a number
_PARTS = 4
_PARTS_ALONE = 16
_BINS = 32
_BATCH = 50
_HASH = np.uint64(2654435761)  # Knuth's multiplicative hash


def _nothing() -> Array:
    return np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Truth:
    """What only recorded samples have: the right answers, and those of the whole model.

    ``labels`` integers (N,); ``final_logits`` (N, C); ``costs`` (E + 1,): the multiply-adds of a
    sample that leaves at each exit, the exit heads that it passes included, and of one that runs
    through.
    """

    labels: Array
    final_logits: Array
    costs: NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """What has been seen of N samples up to an exit.

    ``logits`` holds one array (N, C) for each exit so far, divided by the exit's temperature;
    ``states`` one (N, D_e) float32 for each, the tensor that the exit reads, averaged over its
    positions; ``summary`` (N, S) float32 describes the model's input. States and summary are there
    if a policy reads them. ``truth`` exists for recorded samples alone.
    """

    logits: tuple[Array, ...]
    states: tuple[Array, ...] = ()
    summary: Array = field(default_factory=_nothing)
    truth: Truth | None = None

    def __len__(self) -> int:
        return len(self.logits[0])

    def __getitem__(self, rows: slice | Array) -> Evidence:
        truth = self.truth
        if truth is not None:
            truth = replace(truth, labels=truth.labels[rows], final_logits=truth.final_logits[rows])
        return Evidence(
            tuple(array[rows] for array in self.logits),
            tuple(array[rows] for array in self.states),
            self.summary[rows] if self.summary.size else self.summary,
            truth,
        )

    @property
    def exits(self) -> int:
        """The number of exits so far."""
        return len(self.logits)

    @property
    def recorded(self) -> Truth:
        """The truth; raises `InputError` where there is none."""
        if self.truth is None:
            raise InputError("these samples have no labels; record labelled ones")
        return self.truth

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each exit so far, and last the whole model, answers rightly: (exits + 1, N)."""
        truth = self.recorded
        answers = [array.argmax(axis=-1) for array in (*self.logits, truth.final_logits)]
        return np.asarray(np.stack(answers) == truth.labels)

    def upto(self, at: int) -> Evidence:
        """Return what was seen when exit ``at`` had answered."""
        return replace(self, logits=self.logits[: at + 1], states=self.states[: at + 1])

    def check(self, at_least: int = 1) -> Truth:
        """Return the truth of samples to fit to; raise `InputError` if they cannot be fitted to."""
        truth = self.recorded
        count, classes = len(truth.labels), truth.final_logits.shape[-1]
        if count < at_least:
            raise InputError(f"there are {count} samples to calibrate on; give at least {at_least}")
        if truth.labels.min() < 0 or truth.labels.max() >= classes:
            wrong = next(int(y) for y in truth.labels if not 0 <= y < classes)
            raise InputError(f"label {wrong} is out of range; there are {classes} classes")
        if (truth.labels == truth.labels[0]).all():
            raise InputError(
                f"all {count} samples have label {int(truth.labels[0])}; calibrate on samples of "
                "several classes"
            )
        for name, arrays in (
            ("the final logits", [truth.final_logits]),
            ("the logits of exit {}", self.logits),
            ("the state at exit {}", self.states),
            ("the summary of the input", [self.summary]),
        ):
            for at, array in enumerate(arrays):
                if not np.isfinite(array).all():
                    raise InputError(f"{name.format(at)} are not finite; check model and samples")
        return truth


def as_logits(raw: Array, temperature: float = 1.0) -> NDArray[np.float32]:
    """Return logits over a temperature, float32, what is infinite as very large; NaN stays."""
    scaled = np.asarray(raw, dtype=np.float32) / np.float32(temperature)
    return np.asarray(np.clip(scaled, -_LARGE, _LARGE))


def as_state(tensor: Array) -> NDArray[np.float32]:
    """Return a batch of tensors (N, ...) averaged over positions: (N, D).

    Positions are what comes after the channels (N, C, H, W), or the tokens or frames (N, T, D).
    """
    axes = (1,) if tensor.ndim == 3 else tuple(range(2, tensor.ndim))
    return tensor.mean(axis=axes, dtype=np.float32) if axes else tensor.astype(np.float32)


def summarise(inputs: Sequence[Array]) -> NDArray[np.float32]:
    """Return what a model's inputs, (N, ...) each, look like from afar: (N, S).

    Of images and signals that is the mean and the spread in each cell of a coarse grid, of tokens
    (int32 and int64) the shares that fall into each of 32 hashed bins. A few samples at a time are
    read, as the sums take many times the memory of bytes.
    """
    starts = range(0, max(len(inputs[0]), 1), _BATCH)
    parts = [[_one_summary(array[at : at + _BATCH]) for array in inputs] for at in starts]
    return np.concatenate([np.concatenate(part, axis=1) for part in parts])


def _one_summary(array: Array) -> NDArray[np.float32]:
    rows = len(array)
    if array.dtype in ("int32", "int64"):
        hashed = (array.reshape(rows, -1).astype(np.uint64) * _HASH) % np.uint64(1 << 32)
        bins = (hashed >> np.uint64(27)).astype(np.int64)
        shares = np.stack([(bins == at).mean(axis=1) for at in range(_BINS)], axis=1)
        return shares.astype(np.float32)
    values = array.reshape(rows, -1, 1) if array.ndim == 1 else array
    means = _cells(values.astype(np.float64))
    spread = np.sqrt(np.maximum(_cells(values.astype(np.float64) ** 2) - means**2, 0))
    return np.concatenate([means, spread], axis=1).astype(np.float32)


def _cells(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average over the cells of a grid of the two longest axes; short axes stay, others go."""
    sides = np.array(values.shape[1:])
    longest = sorted(np.argsort(-sides, kind="stable")[:2] + 1)
    long_axes = [axis for axis in longest if values.shape[axis] > _PARTS]
    parts = _PARTS if len(long_axes) > 1 else _PARTS_ALONE
    for axis in range(1, values.ndim):
        side = values.shape[axis]
        count = parts if axis in long_axes else side if side <= _PARTS else 1
        edges = np.linspace(0, side, min(count, side) + 1).round().astype(int)
        sums = np.add.reduceat(values, edges[:-1], axis=axis)
        shape = [-1 if other == axis else 1 for other in range(values.ndim)]
        values = sums / np.diff(edges).reshape(shape)
    return values.reshape(len(values), -1)

"""The contract of an exit policy: how sure the exits are, and so which samples leave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from offramp.tensors import Array

__all__ = ["ExitPolicy", "first_exit"]


class ExitPolicy(ABC):
    """A pure rule. A sample leaves at the first exit whose score reaches its threshold.

    The score of an exit may depend on that exit and on those before it, not on later ones, so
    that one sample at a time and recorded arrays give the same answer.
    """

    name: ClassVar[str]

    @abstractmethod
    def score(self, logits: Sequence[Array], temperatures: Sequence[float]) -> NDArray[np.float64]:
        """Return how sure the last of these exits is, in [0, 1], for each of N samples.

        ``logits`` holds one array (N, classes) for each exit so far, in order; ``temperatures``
        their calibrated temperatures.
        """


def first_exit(
    scores: Sequence[NDArray[np.float64]], thresholds: Sequence[float]
) -> NDArray[np.int64]:
    """Return the exit at which each of N samples leaves; ``len(scores)`` where none is sure.

    ``scores`` holds one array (N,) for each exit; a threshold above 1 closes its exit.
    """
    if not len(scores):
        raise ValueError("there are no exits")
    sure = np.stack([s >= t for s, t in zip(scores, thresholds, strict=True)])
    return np.where(sure.any(axis=0), sure.argmax(axis=0), len(scores))

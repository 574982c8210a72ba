"""The contract of an exit policy: how sure the exits are, and so which samples leave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from offramp.exits.evidence import Evidence
from offramp.tensors import Array

__all__ = [
    "CLOSED",
    "WATCHED",
    "ExitPolicy",
    "FittedPolicy",
    "Parameters",
    "Source",
    "first_exit",
]

CLOSED = 2.0
"""A threshold that no score reaches, so that the exit need not run."""

WATCHED = 1.5
"""No score reaches this threshold either, but the exit runs: a policy looks back on it, or its
threshold adapts."""

Parameters = Mapping[str, Array]
Source = Literal["logits", "states", "summary", "truth"]


class ExitPolicy(ABC):
    """A pure rule. A sample leaves at the first exit whose score reaches its threshold.

    The score of an exit may depend on that exit and on those before it, not on later ones, so
    that one sample at a time and recorded arrays give the same answer; and not on a threshold, so
    that a higher one lets no more samples leave. ``reads`` says which parts of the evidence it
    depends on, ``looks_back`` whether earlier exits count too: then these have to run.
    ``min_samples`` is how many it needs to learn from, 1 if it learns nothing.
    """

    name: ClassVar[str]
    reads: ClassVar[frozenset[Source]] = frozenset({"logits"})
    looks_back: ClassVar[bool] = False
    min_samples: ClassVar[int] = 1

    @property
    def learns(self) -> bool:
        """Whether it learns anything from recorded samples."""
        return self.min_samples > 1

    def fit(self, evidence: Evidence) -> Parameters:
        """Return what the rule learns from recorded samples: arrays by name, none if it is fixed.

        Raises `InputError` on samples without truth, fewer than ``min_samples``, of one class
        only, with labels out of range, or with numbers that are not finite.
        """
        evidence.check(self.min_samples)
        return self._fit(evidence)

    def score(self, evidence: Evidence, parameters: Parameters) -> NDArray[np.float64]:
        """Return how sure the last exit in the evidence is, in [0, 1], for each of N samples.

        NaN, which reaches no threshold, where logits that it depends on are NaN.
        """
        read = evidence.logits if self.looks_back else evidence.logits[-1:]
        broken = np.isnan(np.concatenate(read, axis=-1)).any(axis=-1)
        with np.errstate(invalid="ignore", over="ignore"):
            score = self._score(evidence, parameters)
        return np.where(broken, np.nan, score)

    def _fit(self, evidence: Evidence) -> Parameters:
        return {}

    @abstractmethod
    def _score(self, evidence: Evidence, parameters: Parameters) -> NDArray[np.float64]: ...


@dataclass(frozen=True)
class FittedPolicy:
    """A policy with the parameters that it learnt."""

    rule: ExitPolicy
    parameters: Parameters = field(default_factory=dict)

    def score(self, evidence: Evidence) -> NDArray[np.float64]:
        """Return how sure the last exit in the evidence is, (N,)."""
        return self.rule.score(evidence, self.parameters)

    def scores(self, evidence: Evidence) -> NDArray[np.float64]:
        """Return how sure each exit in the evidence was, (E, N)."""
        every = [self.score(evidence.upto(at)) for at in range(evidence.exits)]
        return np.stack(every) if every else np.zeros((0, 0))


def first_exit(
    scores: Sequence[NDArray[np.float64]] | NDArray[np.float64], thresholds: Sequence[float]
) -> NDArray[np.int64]:
    """Return the exit at which each of N samples leaves; ``len(scores)`` where none is sure.

    ``scores`` holds one array (N,) for each exit; a threshold above 1 closes its exit.
    """
    if not len(scores):
        raise ValueError("there are no exits")
    sure = np.stack([s >= t for s, t in zip(scores, thresholds, strict=True)])
    return np.where(sure.any(axis=0), sure.argmax(axis=0), len(scores))

"""Exit policy `similarity`: whether the features still change.

    score = (1 + cos(h_e, f(h_(e-1)))) / 2,  0 at the first exit

MuE (Tang et al., arXiv 2211.11152) leaves when the states of neighbouring layers are alike. Between
stages the width changes, where MuE has none: f is then a ridge regression of the calibration
samples, else the identity.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from offramp.exits.evidence import Evidence
from offramp.exits.policy import ExitPolicy, Parameters

__all__ = ["Similarity"]

_RIDGE = 1e-2


class Similarity(ExitPolicy):
    """The cosine of neighbouring states."""

    name = "similarity"
    reads = frozenset({"states"})
    looks_back = True
    min_samples = 20

    def _fit(self, evidence: Evidence) -> Parameters:
        maps = {}
        for at, (before, now) in enumerate(pairwise(evidence.states), 1):
            if before.shape[1] != now.shape[1]:
                x = np.column_stack([before, np.ones(len(before))]).astype(np.float64)
                square = x.T @ x
                square += _RIDGE * np.trace(square) / len(square) * np.eye(len(square))
                maps[f"{at}/map"] = np.linalg.solve(square, x.T @ now)
        return maps

    def _score(self, evidence: Evidence, parameters: Parameters) -> NDArray[np.float64]:
        if evidence.exits == 1:
            return np.zeros(len(evidence))
        before, now = evidence.states[-2:]
        if before.shape[1] != now.shape[1]:
            onto = parameters[f"{evidence.exits - 1}/map"]
            before = before @ onto[:-1] + onto[-1]
        norms = np.linalg.norm(before, axis=1) * np.linalg.norm(now, axis=1)
        cosine = (before * now).sum(axis=1, dtype=np.float64) / np.maximum(norms, 1e-12)
        return np.asarray(np.clip((1 + cosine) / 2, 0, 1))

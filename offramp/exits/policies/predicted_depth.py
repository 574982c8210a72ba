"""Exit policy `predicted_depth`: how deep this input has to go, told from the input alone.

    score = P(d <= e | summary),  d = argmax_l u_l,  u_l = 1[answer l right] - beta l

ECO-M2F (Yao et al., arXiv 2404.15244): a gate predicts the depth that a sample needs, before the
first segment runs. With a small beta, d is the first exit that is right, and 0 where none is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.exits.evidence import Evidence
from offramp.exits.gate import Gate, fit_gate
from offramp.exits.policy import ExitPolicy, Parameters

__all__ = ["PredictedDepth"]


class PredictedDepth(ExitPolicy):
    """A gate on the summary of the input; each score is a cumulated probability."""

    name = "predicted_depth"
    reads = frozenset({"summary"})
    min_samples = 50

    def _fit(self, evidence: Evidence) -> Parameters:
        right = evidence.right
        depth = right.argmax(axis=0)  # 0 where none is right
        gate = fit_gate(evidence.summary, np.eye(len(right))[depth], hidden=16, decay=1e-2)
        return gate.to_arrays("depth")

    def _score(self, evidence: Evidence, parameters: Parameters) -> NDArray[np.float64]:
        reached = Gate.read(parameters, "depth").probabilities(evidence.summary)
        return np.asarray(np.clip(reached[:, : evidence.exits].sum(axis=1), 0, 1))

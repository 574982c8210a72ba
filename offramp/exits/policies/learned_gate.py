"""Exit policy `learned_gate`: a gate on four measures of uncertainty.

    score = sigma(w (p_max, H(p), p_(1) - p_(2), H(p^2 / sum p^2)) + b)

JEI-DNN (Regol et al., arXiv 2310.09163): the best exit of a sample is
l* = argmin_l CE_l + c cost_l, costs relative to the whole model's; gate l learns 1[l >= l*], both
classes with the same say. Here the exits are fixed when the gates are fitted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.exits.evidence import Evidence
from offramp.exits.gate import Gate, balanced_weights, fit_gate
from offramp.exits.policy import ExitPolicy, Parameters
from offramp.exits.temperature import losses, softmax
from offramp.exits.uncertainty import margin, normalised_entropy
from offramp.tensors import Array

__all__ = ["LearnedGate"]

COST_WEIGHT = 0.5
"""What the whole model costs, in nats of cross-entropy."""


class LearnedGate(ExitPolicy):
    """One logistic gate for each exit."""

    name = "learned_gate"
    min_samples = 50

    def _fit(self, evidence: Evidence) -> Parameters:
        truth = evidence.recorded
        every = (*evidence.logits, truth.final_logits)
        loss = np.stack([losses(logits, truth.labels) for logits in every])
        best = (loss + COST_WEIGHT * (truth.costs / truth.costs[-1])[:, None]).argmin(axis=0)
        parameters: dict[str, Array] = {}
        for at, logits in enumerate(evidence.logits):
            leaves = (best <= at).astype(np.int64)
            weights = balanced_weights(leaves)
            gate = fit_gate(_features(logits), np.eye(2)[leaves], weights=weights)
            parameters |= gate.to_arrays(f"{at}")
        return parameters

    def _score(self, evidence: Evidence, parameters: Parameters) -> NDArray[np.float64]:
        gate = Gate.read(parameters, f"{evidence.exits - 1}")
        return gate.probabilities(_features(evidence.logits[-1]))[:, 1]


def _features(logits: Array) -> NDArray[np.float64]:
    p = softmax(logits)
    squared = p * p
    squared /= squared.sum(axis=-1, keepdims=True)
    return np.column_stack(
        [p.max(axis=-1), normalised_entropy(p), margin(p), normalised_entropy(squared)]
    )

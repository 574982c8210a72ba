"""Exit policy `tail_fixes`: whether going on would put the answer right.

    score = 1 - E[gain],  gain = max_c q_c - q_a,  a = argmax z_e,  q = the whole model's softmax

Ours. Sending a sample pays where the whole model is right and the exit wrong, and costs where it is
the other way round: its expected gain is P(tail right, exit wrong) - P(tail wrong, exit right),
not the chance that the exit is wrong. Where the whole model is calibrated, that difference given
its logits is ``gain``: how much surer it is of its own answer than of the exit's. The gate learns
it instead of the two events themselves, of which there are a few in a hundred samples: the target
is the same in the mean and far less noisy, and no label enters it. One hidden layer reads, of all
exits so far, log-probabilities, confidence, lead and entropy, and of the last one the two likeliest
classes. Averaged states added nothing where they were tried, so a device need not keep any.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.exits.evidence import Evidence
from offramp.exits.gate import Gate, fit_gate
from offramp.exits.policy import ExitPolicy, Parameters
from offramp.exits.temperature import softmax
from offramp.tensors import Array

__all__ = ["TailFixes"]

_HIDDEN = 32
_DECAY = 3e-3
_LEAST = np.exp(-8)
_LARGEST = 10
_CLASSWISE = 100
"""Up to so many classes, each has features of its own."""


class TailFixes(ExitPolicy):
    """One gate for each exit, fitted to what the whole model would gain."""

    name = "tail_fixes"
    looks_back = True
    min_samples = 50

    def _fit(self, evidence: Evidence) -> Parameters:
        q = softmax(evidence.recorded.final_logits)
        parameters: dict[str, Array] = {}
        for at, logits in enumerate(evidence.logits):
            gain = q.max(axis=1) - np.take_along_axis(q, logits.argmax(axis=1)[:, None], 1)[:, 0]
            targets = np.column_stack([1 - gain, gain])
            features = _features(evidence.upto(at))
            gate = fit_gate(features, targets, hidden=_HIDDEN, decay=_DECAY)
            parameters |= gate.to_arrays(f"{at}")
        return parameters

    def _score(self, evidence: Evidence, parameters: Parameters) -> NDArray[np.float64]:
        gate = Gate.read(parameters, f"{evidence.exits - 1}")
        return gate.probabilities(_features(evidence))[:, 0]


def _features(evidence: Evidence) -> NDArray[np.float64]:
    p = softmax(np.stack(evidence.logits, axis=1))  # (N, exits, C)
    logs = np.log(np.maximum(p, _LEAST))
    top = np.partition(p, -2, axis=-1)[..., -2:]
    entropy = -(p * logs).sum(axis=-1)
    shown = [top[..., 1], top[..., 1] - top[..., 0], entropy]
    if p.shape[-1] > _CLASSWISE:
        logs = np.sort(logs, axis=-1)[..., -_LARGEST:]
    else:
        likeliest = p[:, -1] >= top[:, -1, 1:]
        shown += [likeliest, (p[:, -1] >= top[:, -1, :1]) & ~likeliest]
    return np.concatenate([logs.reshape(len(p), -1), *shown], axis=1, dtype=np.float64)

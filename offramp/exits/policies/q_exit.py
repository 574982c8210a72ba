"""Exit policy `q_exit`: the probability of having left by now.

    score = 1 - prod_(k <= e) (1 - lambda_k),  lambda_k = sigma(w_k (h_(k-1), h_k, log p_k) + b_k)

PALBERT (Balagansky and Gavrilov, arXiv 2204.03276): leave when the cumulated probability passes a
quantile q. The lambda heads learn together: with pdf_j = lambda_j prod_(k < j) (1 - lambda_k), and
the whole model taking what is left, they minimise

    sum_j pdf_j CE_j + 0.5 KL(pdf | geometric)

The geometric prior leaves with probability 1 / (E + 1) at each exit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.exits.evidence import Evidence
from offramp.exits.gate import minimise, standardise
from offramp.exits.policy import ExitPolicy, Parameters
from offramp.exits.temperature import log_softmax, losses
from offramp.tensors import Array

__all__ = ["QExit"]

Floats = NDArray[np.float64]

_PRIOR_WEIGHT = 0.5
_DECAY = 1e-3
_LEAST_LOG = -10.0


class QExit(ExitPolicy):
    """One lambda head for each exit, fitted together."""

    name = "q_exit"
    reads = frozenset({"logits", "states"})
    looks_back = True
    min_samples = 50

    def _fit(self, evidence: Evidence) -> Parameters:
        truth = evidence.recorded
        every = (*evidence.logits, truth.final_logits)
        loss = np.stack([losses(logits, truth.labels) for logits in every])
        inputs: list[Floats] = []
        parameters: dict[str, Array] = {}
        for at in range(evidence.exits):
            features = _features(evidence.upto(at))
            shift, scale = standardise(features)
            inputs.append((features - shift) * scale)
            parameters |= {f"{at}/shift": shift, f"{at}/scale": scale}
        start = [np.zeros(x.shape[1] + 1) for x in inputs]
        heads = minimise(lambda parts: _loss(parts, inputs, loss), start)
        return parameters | {f"{at}/head": head for at, head in enumerate(heads)}

    def _score(self, evidence: Evidence, parameters: Parameters) -> Floats:
        stays = np.ones(len(evidence))
        for at in range(evidence.exits):
            x = _features(evidence.upto(at)) - parameters[f"{at}/shift"]
            head = parameters[f"{at}/head"]
            stays *= 1 - _sigmoid((x * parameters[f"{at}/scale"]) @ head[:-1] + head[-1])
        return np.asarray(1 - stays)


def _features(evidence: Evidence) -> Floats:
    """Return the last two states and the last log-probabilities, (N, D)."""
    logs = np.maximum(log_softmax(evidence.logits[-1]), _LEAST_LOG)
    return np.concatenate([*evidence.states[-2:], logs], axis=1, dtype=np.float64)


def _loss(heads: list[Floats], inputs: list[Floats], loss: Floats) -> tuple[float, list[Floats]]:
    """Return the expected loss with its prior, and its slopes; ``loss`` is (E + 1, N)."""
    exits, count = len(heads), loss.shape[1]
    rate = 1 / (exits + 1)
    prior = np.array([rate * (1 - rate) ** j for j in range(exits)] + [(1 - rate) ** exits])
    raw = [x @ head[:-1] + head[-1] for x, head in zip(inputs, heads, strict=True)]
    leaves = np.stack([_sigmoid(z) for z in raw] + [np.ones(count)])
    stays = np.cumprod(np.concatenate([np.ones((1, count)), 1 - leaves[:-1]]), axis=0)
    pdf = leaves * stays
    surprise = np.log(np.maximum(pdf, 1e-12)) - np.log(prior)[:, None]
    value = float((pdf * (loss + _PRIOR_WEIGHT * surprise)).sum()) / count
    each = pdf * (loss + _PRIOR_WEIGHT * (surprise + 1))
    behind = each[::-1].cumsum(axis=0)[::-1]
    slopes = []
    for at, (x, head) in enumerate(zip(inputs, heads, strict=True)):
        back = (each[at] * (1 - leaves[at]) - leaves[at] * behind[at + 1]) / count
        value += _DECAY / 2 * float(head[:-1] @ head[:-1])
        slopes.append(np.append(x.T @ back + _DECAY * head[:-1], back.sum()))
    return value, slopes


def _sigmoid(raw: Array) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * raw)))

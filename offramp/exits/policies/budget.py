"""Exit policy `budget`: the rank of the confidence among the calibration samples.

    score = share of calibration samples whose max_c softmax(z)_c is no larger

So a threshold of 1 - r lets a share r leave, whatever the logits' scale. `budget_thresholds` sets
them as EERO does (Valade et al., arXiv 2402.03779): exponential weights on the exits,

    pi_m ~ exp(-beta R_m - lambda b_m),  sum_m pi_m b_m = B

with each exit's risk R_m (share of wrong answers) and cost b_m; of those who reach exit m, the
share pi_m / (1 - sum_(j<m) pi_j) leaves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.errors import InputError
from offramp.exits.evidence import Evidence
from offramp.exits.policy import ExitPolicy, Parameters
from offramp.exits.uncertainty import fit_ranks, rank
from offramp.quantities import figure

__all__ = ["Budget", "budget_thresholds"]

Floats = NDArray[np.float64]

_STEPS = 200


class Budget(ExitPolicy):
    """The calibration rank of the confidence."""

    name = "budget"
    min_samples = 20

    def _fit(self, evidence: Evidence) -> Parameters:
        return {f"{at}/ranks": fit_ranks(z) for at, z in enumerate(evidence.logits)}

    def _score(self, evidence: Evidence, parameters: Parameters) -> Floats:
        return rank(evidence.logits[-1], parameters[f"{evidence.exits - 1}/ranks"])


def budget_thresholds(
    scores: Floats, evidence: Evidence, budget: float, beta: float = 10.0
) -> tuple[float, ...]:
    """Return the thresholds (E) at which samples cost ``budget`` multiply-adds in the mean.

    ``scores`` (E, N) may be any policy's. Raises `InputError` if the budget is not between what
    leaving at the first exit and what running through costs.
    """
    costs = evidence.recorded.costs
    if not costs[0] <= budget <= costs[-1]:
        raise InputError(
            f"a budget of {figure(budget)} multiply-adds cannot be met; "
            f"choose one from {figure(costs[0])} to {figure(costs[-1])}"
        )
    shares = _exit_shares(1 - evidence.right.mean(axis=1), costs, budget, beta)
    here = np.ones(len(evidence), dtype=bool)
    thresholds = []
    for exit_scores, share in zip(scores, shares[:-1], strict=True):
        leaving = round(share * len(evidence))
        waiting = np.sort(exit_scores[here])
        leaving = min(leaving, len(waiting))
        threshold = float(waiting[len(waiting) - leaving]) if leaving else 2.0
        thresholds.append(threshold)
        here &= exit_scores < threshold
    return tuple(thresholds)


def _exit_shares(risks: Floats, costs: Floats, budget: float, beta: float) -> Floats:
    """Return the share of samples that leaves at each exit, by bisection for ``lambda``."""
    relative = (costs - budget) / (costs[-1] - costs[0])

    def shares(price: float) -> Floats:
        raw = -beta * risks - price * relative
        powers = np.exp(raw - raw.max())
        return np.asarray(powers / powers.sum())

    low, high = -1e6, 1e6
    for _ in range(_STEPS):
        price = (low + high) / 2
        if shares(price) @ relative > 0:
            low = price
        else:
            high = price
    return shares((low + high) / 2)

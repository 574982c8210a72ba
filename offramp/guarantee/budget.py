"""Budgets: the most accurate thresholds within given means and peaks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError, PlanError
from offramp.guarantee.frontier import MOST_VECTORS, trace_frontier
from offramp.guarantee.outcomes import CLOSED, Outcomes
from offramp.quantities import figure

__all__ = ["Budget", "Spending", "deepest_within", "spend"]

_ROUNDING = 1e-12

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Budget:
    """What answering may take.

    ``mean_cost`` over samples, in the unit of the outcomes' costs; ``sent_share``, the largest
    share of samples that no exit answers; ``deepest``, the exit at which every sample leaves that
    comes so far, or None for the end: how DeeR-VLA (NeurIPS 2024) bounds peak cost and memory.
    """

    mean_cost: float = math.inf
    sent_share: float = 1.0
    deepest: int | None = None

    def __post_init__(self) -> None:
        if not self.mean_cost >= 0 or not 0 <= self.sent_share <= 1:
            raise ConfigError(
                f"a mean cost of {self.mean_cost} and a share sent of {self.sent_share} are no "
                "budget; the one is 0 or more, the other from 0 to 1"
            )

    def affords(self, mean_costs: Floats | float) -> NDArray[np.bool_]:
        """Tell which mean costs are within the budget; what exceeds it by rounding alone is."""
        return np.asarray(mean_costs <= self.mean_cost * (1 + _ROUNDING))

    def keeps(self, outcomes: Outcomes, thresholds: Floats) -> NDArray[np.bool_]:
        """Tell which vectors (M, E) keep to the mean cost and the share sent."""
        few = outcomes.sent_share(thresholds) <= self.sent_share + _ROUNDING
        return np.asarray(self.affords(outcomes.mean_cost(thresholds)) & few)


@dataclass(frozen=True)
class Spending:
    """Thresholds (E,), and what they take and bring on the samples that chose them."""

    thresholds: Floats
    mean_cost: float
    accuracy: float
    sent_share: float


def deepest_within(
    amounts: Sequence[float], limit: float, show: Callable[[float], str] = figure
) -> int:
    """Return the deepest place that takes no more than the limit, nor does any place before it.

    ``amounts`` holds for each exit and for the end what a sample takes at most that is answered
    there: time, or memory for all that is loaded. Raises `PlanError` if the first takes too much,
    which ``show`` puts into words.
    """
    above = [place for place, amount in enumerate(amounts) if not amount <= limit]
    deepest = above[0] - 1 if above else len(amounts) - 1
    if deepest < 0:
        raise PlanError(
            f"the first exit alone takes {show(amounts[0])}, above the limit of {show(limit)}; "
            "raise the limit or train an earlier exit"
        )
    return deepest


def spend(outcomes: Outcomes, budget: Budget, most_vectors: int = MOST_VECTORS) -> Spending:
    """Return the most accurate thresholds within a budget; raise `PlanError` if there are none.

    ``most_vectors`` are tried, as in `trace_frontier`.
    """
    deepest = outcomes.exits if budget.deepest is None else budget.deepest
    if not 0 <= deepest <= outcomes.exits:
        raise ConfigError(f"there is no exit {deepest}; the end is {outcomes.exits}")
    if deepest == 0:
        return _everyone_leaves(outcomes, budget)
    capped = deepest < outcomes.exits
    inner = outcomes.ending_at(deepest) if capped else outcomes
    found = trace_frontier(inner, 1.0 if capped else budget.sent_share, most_vectors)
    within = np.flatnonzero(budget.affords(found.mean_cost))
    if not within.size:
        raise _too_little(outcomes, budget)
    row = within[-1]
    thresholds = np.full(outcomes.exits, CLOSED)
    thresholds[:deepest] = found.thresholds[row]
    if capped:
        thresholds[deepest] = 0.0
    sent = 0.0 if capped else float(found.sent_share[row])
    return Spending(thresholds, float(found.mean_cost[row]), float(found.accuracy[row]), sent)


def _everyone_leaves(outcomes: Outcomes, budget: Budget) -> Spending:
    if not budget.affords(outcomes.costs[0]):
        raise _too_little(outcomes, budget)
    thresholds = np.full(outcomes.exits, CLOSED)
    thresholds[0] = 0.0
    accuracy = float(outcomes.exit_right[0].mean())
    return Spending(thresholds, float(outcomes.costs[0]), accuracy, 0.0)


def _too_little(outcomes: Outcomes, budget: Budget) -> PlanError:
    return PlanError(
        f"no thresholds keep to a mean cost of {figure(budget.mean_cost)} with "
        f"{budget.sent_share:.1%} sent; the cheapest place alone costs "
        f"{figure(float(outcomes.costs.min()))}"
    )

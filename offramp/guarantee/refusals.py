"""Refusals: what is nearest to a wish that no plan keeps."""

from __future__ import annotations

import numpy as np

from offramp.errors import PlanError
from offramp.guarantee.budget import spend
from offramp.guarantee.certificate import Parts
from offramp.guarantee.outcomes import Outcomes
from offramp.guarantee.p_values import P_VALUES
from offramp.guarantee.wish import Wish

__all__ = ["nothing_alone"]

_DROPS = np.arange(1, 1000) / 1000
_VECTORS = 50_000


def nothing_alone(alone: Outcomes, wish: Wish, parts: Parts, places: int) -> PlanError:
    """Return the error that no plan which sends nothing keeps a wish, with the nearest that does.

    A drop is predicted from the samples that choose alone, as if those that test were alike: a
    promise that these have had a say in would not hold.
    """
    budget, cheapest = wish.budget((0, None)), float(alone.costs.min())
    if not budget.affords(cheapest):
        return PlanError(
            f"no plan that sends nothing keeps to {budget.mean_cost * 1e3:.4g} ms of device time "
            f"in the mean; the first exit alone takes {cheapest * 1e3:.4g} ms, so give that much "
            "at least"
        )
    assert wish.promise is not None
    chosen, tested = alone.select(parts[0]), len(parts[1])
    thresholds = spend(chosen, budget, _VECTORS).thresholds
    rates = [(chosen.losses(thresholds) == sign).mean() for sign in (1, -1)]
    worse, better = (np.array([round(float(rate) * tested)]) for rate in rates)
    wrong = (1 - wish.promise.confidence) / places
    least = next(
        (d for d in _DROPS if P_VALUES["either"](worse, better, tested, d)[0] <= wrong), None
    )
    offer = f"about {least:.1%}" if least else "not to be promised at all"
    return PlanError(
        "of no plan that sends nothing and keeps to the limits a drop in accuracy of at most "
        f"{wish.promise.max_accuracy_drop * 100:g}% can be promised; within these limits the least "
        f"drop is {offer}, so ask for that, or give more room"
    )

"""Shares: how much to use of each plan for the highest throughput, a linear program.

One best plan is NP-hard to find among all cuts of a graph (Hu et al., DADS, INFOCOM 2019), shares
of several are not. For three resources a corner of the program has at most three plans, and one
more for each further limit; `docs/design` has the proofs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partitioner.demands import Floats

__all__ = ["Solution", "solve"]

_NOTHING = 1e-9


@dataclass(frozen=True)
class Solution:
    """The shares of C plans (C,), the least ``period``, and the prices (duals) of what binds it.

    The period falls by ``resource_prices`` (R,), which sum to 1, times by how much less a resource
    were loaded, and by ``limit_prices`` (L,) times by how much higher a limit were.
    """

    shares: Floats
    period: float
    resource_prices: Floats
    limit_prices: Floats


def solve(loads: Floats, values: Floats, most: Floats) -> Solution | None:
    """Return the shares of C plans under which the busiest of R resources is least busy.

    ``loads`` (C, R) are what a sample takes of each; the means of ``values`` (C, L) must be at most
    ``most`` (L,). None if no shares keep that. The solver's tolerance of 1e-7 is absolute, so the
    numbers that matter should be around 1.
    """
    from scipy.optimize import linprog  # here, since a device that runs has no scipy

    count, resources = loads.shape
    periods = np.repeat([-1.0, 0.0], [resources, len(most)])
    found = linprog(
        np.append(np.zeros(count), 1.0),
        A_ub=np.column_stack([np.vstack([loads.T, values.T]), periods]),
        b_ub=np.append(np.zeros(resources), most),
        A_eq=np.append(np.ones(count), 0.0)[None],
        b_eq=[1.0],
        method="highs-ds",  # the simplex method ends in a corner, which has few plans
    )
    if found.x is None:
        return None
    shares = np.where(found.x[:count] > _NOTHING, found.x[:count], 0.0)
    prices = np.maximum(-found.ineqlin.marginals, 0.0)
    return Solution(
        shares / shares.sum(), float(found.x[-1]), prices[:resources], prices[resources:]
    )

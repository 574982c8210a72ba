"""Strategy `dads`: the least latency while the load is light, the most throughput beyond that."""

from __future__ import annotations

import numpy as np

from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.published import as_published, least, without_exits
from partitioner.strategies.strategy import Strategy

__all__ = ["Dads"]


class Dads(Strategy):
    """DADS (Hu et al., INFOCOM 2019), without exits and without compression.

    Under a light load it takes the cut of least latency of one sample. If samples come faster than
    the busiest of device, link and server can do with that, it takes the cut with which the busiest
    of the three has the least to do.

    Reconstructed: the paper finds its cuts as minimum cuts of the model's graph, which the compiler
    did with the same construction (`offramp.cuts.minimum_cut`): it swept the bandwidth and kept the
    distinct optima as the bundle's boundaries, several tensors wide where the graph is. So trying
    them is that minimum cut with measured times instead of sums over layers. Under a heavy load the
    paper's problem is NP-hard and solved within a factor of 3; here it is solved exactly among the
    boundaries. Both are to its advantage.
    """

    name = "dads"
    rule = "the cut of least latency, or of most throughput if that one does not keep up"
    adapts = True
    steady = False

    def decide(self, planner: Planner, objective: Objective, conditions: Conditions) -> Plan:
        """Return the cut of least latency, or of least period if that one does not keep up."""
        conditions = as_published(conditions)
        cuts = self.among(planner)
        forecast = cuts.forecast(conditions)
        mean_s, period_s = forecast.mean_s, forecast.period_s
        usable = conditions.reachable | ~cuts.candidates.sends
        light = int(np.where(usable, mean_s, np.inf).argmin())
        if period_s[light] * conditions.rate_hz <= 1:
            return least(cuts, conditions, mean_s)
        return least(cuts, conditions, period_s, mean_s)

    def among(self, planner: Planner) -> Planner:
        """Return a planner for all cuts."""
        return without_exits(planner)

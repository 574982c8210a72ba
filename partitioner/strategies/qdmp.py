"""Strategy `qdmp`: the minimum cut, sought in one block of the graph."""

from __future__ import annotations

from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.published import as_published, least, without_exits
from partitioner.strategies.strategy import Strategy

__all__ = ["Qdmp"]


class Qdmp(Strategy):
    """QDMP (Zhang et al., IEEE Internet of Things Journal 2021), without exits or compression.

    The cut of least latency of one sample, whatever the load. The paper's contribution is how it is
    found: between two neighbouring vertices of the graph past which no value goes, so that only
    the block between them needs a minimum cut; and that times are profiled by block, since those of
    layers do not add up. The compiler did the first (`offramp.cuts.blocks`), and a profile holds
    whole heads and tails, which is the second. What then remains of it is the optimum itself: it
    differs from `dads` under heavy load alone, and from `neurosurgeon` where boundaries of several
    tensors are best. That the three often agree is no accident of this reconstruction.
    """

    name = "qdmp"
    rule = "the cut of least latency, whatever the load"
    adapts = True
    steady = False

    def decide(self, planner: Planner, objective: Objective, conditions: Conditions) -> Plan:
        """Return the cut of least latency."""
        conditions = as_published(conditions)
        cuts = self.among(planner)
        return least(cuts, conditions, cuts.forecast(conditions).mean_s)

    def among(self, planner: Planner) -> Planner:
        """Return a planner for all cuts."""
        return without_exits(planner)

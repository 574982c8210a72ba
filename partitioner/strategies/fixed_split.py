"""Strategy `fixed_split`: the best split for the conditions at the start, kept for ever."""

from __future__ import annotations

from dataclasses import replace

from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.strategies.strategy import Strategy

__all__ = ["FixedSplit"]


class FixedSplit(Strategy):
    """Splits with exits at the one cut that suits the link as it was first measured.

    What a deployment does that profiles once (Edgent's static setting, arXiv 1910.05316).
    """

    name = "fixed_split"
    rule = "the best split for the link as it was first measured, for ever"
    adapts = False

    def decide(self, planner: Planner, objective: Objective, conditions: Conditions) -> Plan:
        """Return the best plan that sends something and runs something on the device."""
        conditions = replace(conditions, reachable=True)
        return self.among(planner).best(objective, conditions)

    def among(self, planner: Planner) -> Planner:
        """Return a planner for the plans that split."""
        return planner.only(self.name, lambda c: (c.cut > 0) & c.sends)

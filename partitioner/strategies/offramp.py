"""Strategy `offramp`: Offramp's own, the best plan for the conditions now."""

from __future__ import annotations

from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.strategies.strategy import Strategy

__all__ = ["Offramp"]


class Offramp(Strategy):
    """Chooses cut, level and thresholds together, again whenever the conditions change."""

    name = "offramp"
    rule = "the best cut, level and thresholds for the conditions now"
    adapts = True
    hedges = True

    def decide(self, planner: Planner, objective: Objective, conditions: Conditions) -> Plan:
        """Return the best of all candidates."""
        return planner.best(objective, conditions)

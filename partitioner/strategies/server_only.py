"""Strategy `server_only`: the whole model on the server, which gets the compressed input."""

from __future__ import annotations

from dataclasses import replace

from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.strategies.strategy import Strategy

__all__ = ["ServerOnly"]


class ServerOnly(Strategy):
    """Sends every sample's input, with the input codec that is best among those accurate enough."""

    name = "server_only"
    rule = "the whole model on the server, which gets the input by the best codec"
    adapts = False

    def decide(self, planner: Planner, objective: Objective, conditions: Conditions) -> Plan:
        """Return the best plan of cut 0, as if the server could be reached."""
        conditions = replace(conditions, reachable=True)
        return self.among(planner).best(objective, conditions)

    def among(self, planner: Planner) -> Planner:
        """Return a planner for the plans of cut 0."""
        return planner.only(self.name, lambda c: c.cut == 0)

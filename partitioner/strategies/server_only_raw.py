"""Strategy `server_only_raw`: the whole model on the server, which gets the input as it is."""

from __future__ import annotations

from dataclasses import replace

from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.published import as_published, least, without_exits
from partitioner.strategies.strategy import Strategy

__all__ = ["ServerOnlyRaw"]


class ServerOnlyRaw(Strategy):
    """Sends every sample's input without loss: the status quo that Neurosurgeon starts from.

    (Kang et al., ASPLOS 2017.) The level is `raw` where a bundle has it. A compiler leaves it out
    where another one is smaller and loses nothing either: then it is that one, to the advantage of
    this strategy (`partitioner.published.raw_levels`).
    """

    name = "server_only_raw"
    rule = "the whole model on the server, which gets the input as it is"
    adapts = False

    def decide(self, planner: Planner, objective: Objective, conditions: Conditions) -> Plan:
        """Return the plan of cut 0, as if the server could be reached."""
        conditions = replace(as_published(conditions), reachable=True)
        only = self.among(planner)
        return least(only, conditions, only.forecast(conditions).mean_s)

    def among(self, planner: Planner) -> Planner:
        """Return a planner for that one plan."""
        return without_exits(planner).only(self.name, lambda c: c.cut == 0)

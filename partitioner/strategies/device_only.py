"""Strategy `device_only`: the whole model on the device, without exits."""

from __future__ import annotations

from partitioner.candidates import CLOSED
from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.strategies.strategy import Strategy

__all__ = ["DeviceOnly"]


class DeviceOnly(Strategy):
    """Sends nothing and leaves nowhere."""

    name = "device_only"
    rule = "the whole model on the device, without exits"
    adapts = False

    def decide(self, planner: Planner, objective: Objective, conditions: Conditions) -> Plan:
        """Return the plan of the last cut with every exit closed."""
        return self.among(planner).best(objective, conditions)

    def among(self, planner: Planner) -> Planner:
        """Return a planner for that one plan."""
        depth = max(planner.bundle.cuts)
        return planner.only(
            self.name, lambda c: (c.cut == depth) & (c.thresholds >= CLOSED).all(axis=1)
        )

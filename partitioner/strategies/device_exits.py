"""Strategy `device_exits`: the whole model on the device, with its early exits."""

from __future__ import annotations

from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.strategies.strategy import Strategy

__all__ = ["DeviceExits"]


class DeviceExits(Strategy):
    """Sends nothing; what early exits alone give (BranchyNet, arXiv 1709.01686)."""

    name = "device_exits"
    rule = "the best exits for the objective, all on the device"
    adapts = False

    def decide(self, planner: Planner, objective: Objective, conditions: Conditions) -> Plan:
        """Return the best plan that sends nothing."""
        return self.among(planner).best(objective, conditions)

    def among(self, planner: Planner) -> Planner:
        """Return a planner for the plans that send nothing."""
        return planner.only(self.name, lambda c: ~c.sends)

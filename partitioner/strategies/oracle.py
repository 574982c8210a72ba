"""Strategy `oracle`: the best plan for what comes, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence

from partitioner.foreseen import best_foreseen
from partitioner.future import Future
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.strategies.strategy import Clairvoyant

__all__ = ["Oracle"]


class Oracle(Clairvoyant):
    """For each sample, the plan of least mean latency among those accurate enough.

    It knows how the link, the server and the device will do, and what lies on the uplink already;
    not whether this sample leaves at an exit. It computes nowhere twice. Regret against such a
    choice in hindsight is how planners are measured that learn as they go (Zhang et al., ANS, IEEE
    INFOCOM 2021), and how far routing is from the best possible elsewhere (Duo-LLM).
    """

    name = "oracle"
    rule = "the best plan for what comes, for each sample"
    adapts = True

    def foresee(self, planner: Planner, objective: Objective, futures: Sequence[Future]) -> Plan:
        """Return the best plan for the sample to come."""
        return best_foreseen(planner, objective, futures)

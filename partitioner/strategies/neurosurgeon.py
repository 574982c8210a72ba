"""Strategy `neurosurgeon`: the cut of a chain with the least latency, or energy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from partitioner.candidates import Candidates
from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.published import as_published, least, without_exits
from partitioner.strategies.strategy import Strategy

__all__ = ["Neurosurgeon"]


class Neurosurgeon(Strategy):
    """Neurosurgeon (Kang et al., ASPLOS 2017), without exits and without compression.

    It cuts where one tensor crosses, and tries all such cuts: head on the device, upload, tail on a
    server under its present load. If the objective minimises energy, it is the cut at which the
    device spends the least, computing and sending. Accuracy is the model's, so there is no floor;
    it knows no deadline.

    Reconstructed: the times are those of the two machines' profiles, measured, where the paper
    predicts them by layer type; the server's load comes with its answers, where the paper asks
    every few minutes; the cuts are those that the bundle offers. All three are to its advantage.
    """

    name = "neurosurgeon"
    rule = "the cut of a chain with the least latency, or energy if that is minimised"
    adapts = True
    steady = False

    def decide(self, planner: Planner, objective: Objective, conditions: Conditions) -> Plan:
        """Return the best cut of the chain."""
        conditions = as_published(conditions)
        chain = self.among(planner)
        forecast = chain.forecast(conditions)
        energy = objective.minimise == "energy"
        return least(chain, conditions, forecast.energy_j if energy else forecast.mean_s)

    def among(self, planner: Planner) -> Planner:
        """Return a planner for the cuts of the chain."""
        return without_exits(planner).only(self.name, _one_tensor)


def _one_tensor(candidates: Candidates) -> NDArray[np.bool_]:
    """Tell where one tensor crosses, if any; an input may have several."""
    boundaries = candidates.recorded.manifest.boundaries
    chain = [at for at, boundary in enumerate(boundaries) if len(boundary.tensors) == 1]
    ends = 0, len(boundaries) - 1
    found: NDArray[np.bool_] = np.isin(candidates.cut, [*chain, *ends])
    return found

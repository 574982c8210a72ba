"""Strategy `static`: the best single plan in hindsight."""

from __future__ import annotations

from collections.abc import Sequence

from partitioner.foreseen import best_foreseen
from partitioner.future import Future
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.strategies.strategy import Clairvoyant

__all__ = ["Static"]


class Static(Clairvoyant):
    """The one plan, kept for ever, of least mean latency over all samples of the run.

    As accurate as the objective asks for. What no fixed split can beat, however well it was chosen
    beforehand: what adapting is worth, is measured against it. Queues are left out.
    """

    name = "static"
    rule = "the best single plan in hindsight of the whole run"
    adapts = False

    def foresee(self, planner: Planner, objective: Objective, futures: Sequence[Future]) -> Plan:
        """Return the best plan for all samples to come together."""
        return best_foreseen(planner, objective, futures)

"""Strategy `edgent`: the deepest exit that meets the deadline, for all samples alike."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from partitioner.candidates import CLOSED
from partitioner.conditions import Conditions
from partitioner.demands import Floats
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.published import as_published, evaluated, least, raw_levels
from partitioner.recorded import Place, Recorded
from partitioner.strategies.strategy import Strategy

__all__ = ["Edgent"]


class Edgent(Strategy):
    """Edgent (Li et al., IEEE Trans. Wireless Communications 2020, arXiv 1910.05316).

    Every sample answers at one exit, chosen with the conditions and not by how sure it is: from the
    last one down, the first whose best partition meets the deadline. So accuracy is as high as the
    deadline allows, and there is no floor. Where no exit meets it, the quickest is taken; the paper
    returns nothing.

    Reconstructed: a server of Offramp runs the whole tail and none of the earlier exits, so exits
    before the last are right-sized on the device alone; the last one, the model's end, has every
    partition. Times are measured, where the paper predicts them by layer type, and plans follow
    each estimate, where it looks for changes of the bandwidth first.
    """

    name = "edgent"
    rule = "the deepest exit that meets the deadline, with its best partition, for all samples"
    adapts = True
    steady = False

    def decide(self, planner: Planner, objective: Objective, conditions: Conditions) -> Plan:
        """Return the deepest exit's best partition that meets the deadline."""
        conditions = as_published(conditions)
        pairs = self.among(planner)
        candidates, mean_s = pairs.candidates, pairs.forecast(conditions).mean_s
        usable_s = np.where(conditions.reachable | ~candidates.sends, mean_s, np.inf)
        last = candidates.thresholds.shape[1]
        exits = np.where(
            (candidates.thresholds <= 0).any(axis=1),
            (candidates.thresholds <= 0).argmax(axis=1) if last else 0,
            last,
        )
        for exit_ in sorted(set(exits.tolist()), reverse=True):
            at_exit_s = np.where(exits == exit_, usable_s, np.inf)
            if at_exit_s.min() <= objective.latest_s and np.isfinite(at_exit_s.min()):
                return pairs.plan_of(int(at_exit_s.argmin()))
        return least(pairs, conditions, mean_s)

    def among(self, planner: Planner) -> Planner:
        """Return a planner for all exits with their partitions."""
        return evaluated(planner, self.name, _pairs)


def _pairs(recorded: Recorded) -> Mapping[Place, Floats]:
    """Return every partition with all exits closed, and each exit at which all samples leave."""
    manifest, levels = recorded.manifest, raw_levels(recorded)
    depth = max(manifest.cuts)
    places: dict[Place, Floats] = {
        (cut, levels.get(cut)): np.full((1, manifest.exits_before(cut)), CLOSED)
        for cut in manifest.cuts
        if cut in levels or cut == depth
    }
    for number, spec in enumerate(manifest.exits[: manifest.exits_before(depth)]):
        vector = np.full(manifest.exits_before(spec.boundary), CLOSED)
        vector[number] = 0.0
        place = spec.boundary, None
        places[place] = np.vstack([*places.get(place, ()), vector])
    return places

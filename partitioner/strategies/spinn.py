"""Strategy `spinn`: split and one threshold for all exits, features in 8 bits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from partitioner.conditions import Conditions
from partitioner.demands import Floats
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.published import as_published, eight_bit_levels, evaluated
from partitioner.recorded import Place, Recorded
from partitioner.strategies.strategy import Strategy
from partitioner.threshold_grid import threshold_choices

__all__ = ["Spinn"]

_THRESHOLDS = 10


class Spinn(Strategy):
    """SPINN (Laskaridis et al., MobiCom 2020, arXiv 2008.06402): progressive inference, split.

    It tries every split with every confidence threshold, one for all exits, and takes the best by
    the objective of those that keep its limits: the accuracy floor and the deadline are its hard
    constraints, what is minimised its soft target. Exit rates and accuracies of each were measured
    before; times follow the observed load of device and server and the bandwidth, again and again.
    Features are quantised linearly to 8 bits and packed without loss.

    Reconstructed: the exits behind the split, which the paper runs on the server, are not run.
    Where the compiler kept no 8-bit level, the linear quantisers of fewer bits stand for it, of
    which it may choose (`partitioner.published.eight_bit_levels`), to its advantage. Soft targets
    are one measure instead of an ordered list. How sure an exit is, is the bundle's exit policy to
    say: by default the greatest probability, as in the paper.
    """

    name = "spinn"
    rule = "the best split and one threshold for all exits, with features in 8 bits"
    adapts = True
    steady = False

    def decide(self, planner: Planner, objective: Objective, conditions: Conditions) -> Plan:
        """Return the best split and threshold for the conditions."""
        pairs = self.among(planner)
        return pairs.best(objective, as_published(conditions))

    def among(self, planner: Planner) -> Planner:
        """Return a planner for all splits with their thresholds."""
        return evaluated(planner, self.name, _pairs)


def _pairs(recorded: Recorded) -> Mapping[Place, Floats]:
    """Return every split, its levels, and every threshold the same at all exits before it."""
    manifest, levels = recorded.manifest, eight_bit_levels(recorded)
    depth, places = max(manifest.cuts), {}
    thresholds = threshold_choices(recorded, _THRESHOLDS)
    for cut in manifest.cuts:
        exits = manifest.exits_before(cut)
        alike = [(threshold,) * exits for threshold in thresholds.tolist()]
        vectors = np.array(list(dict.fromkeys(alike)), dtype=np.float64)
        for level in (None,) if cut == depth else levels.get(cut, ()):
            places[cut, level] = vectors
    return places

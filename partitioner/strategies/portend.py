"""Strategy `portend`: thresholds and cut together, tried one by one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from partitioner.candidates import Candidates
from partitioner.conditions import Conditions
from partitioner.costs import FRAME_OVERHEAD_BYTES, Costs
from partitioner.demands import Floats
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.published import as_published, evaluated, least, raw_levels
from partitioner.recorded import Place, Recorded
from partitioner.strategies.strategy import Strategy
from partitioner.threshold_grid import threshold_choices

__all__ = ["Portend"]

_MOST_VECTORS = 300
_MTU_BYTES = 1500
_EXACT = 1e-12


class Portend(Strategy):
    """PORTEND (Ebrahimi et al., ICPADS 2023): thresholds and partition by brute force, tensors raw.

    The paper is M. Ebrahimi, A. da Silva Veith, M. Gabel and E. de Lara, "PORTEND: A Joint
    Performance Model for Partitioned Early-Exiting DNNs".

    The least latency of all that are accurate enough, both by the paper's own formulas. Latency is
    head and exits, each weighted by who reaches it; of those that stay, serialisation, packets of
    the link's whole MTU at its bandwidth, propagation, and the tail. Accuracy is the sum over exits
    of the share that leaves there times the exit's accuracy over all samples. That is not the one
    over those that leave, which are the easier ones: so the formula errs, mostly downwards, and
    what comes of a plan is not the accuracy that was asked for.

    Reconstructed: two tiers instead of several. An exit is as sure as the bundle's exit policy says
    (the paper: normalised entropy). A grid of at most 300 threshold vectors for each cut stands for
    the paper's, whose search takes minutes; it is evaluated once. The server's wait counts as
    propagation. There is no deadline.
    """

    name = "portend"
    rule = "the least latency over cuts and thresholds by formulas of its own, tensors raw"
    adapts = True
    steady = False

    def __init__(self) -> None:
        self._of: Planner | None = None

    def decide(self, planner: Planner, objective: Objective, conditions: Conditions) -> Plan:
        """Return the least latency of what the formula calls accurate enough, else the nearest."""
        conditions = as_published(conditions)
        tried = self.among(planner)
        costs = tried.forecast(conditions).costs
        if tried is not self._of:
            self._of, self._accuracy = tried, _accuracy(tried.candidates)
        shortfall = np.maximum(planner.accuracy_floor(objective) - self._accuracy - _EXACT, 0.0)
        return least(tried, conditions, shortfall, _latency_s(costs, conditions))

    def among(self, planner: Planner) -> Planner:
        """Return a planner for all combinations of cut and thresholds."""
        return evaluated(planner, self.name, _combinations)


def _latency_s(costs: Costs, now: Conditions) -> Floats:
    """Return the formula's mean latency, (C,)."""
    c = costs.candidates
    stays = 1.0 - c.exit_shares.sum(axis=1)
    device_s = (c.exit_shares * costs.exit_s).sum(axis=1) + stays * costs.device_s
    sent_bytes = c.bytes_mean / np.maximum(c.sent_share, _EXACT) + FRAME_OVERHEAD_BYTES
    packets_s = np.ceil(sent_bytes / _MTU_BYTES) * (8 * _MTU_BYTES / now.bandwidth_bps)
    away_s = now.rtt_s + now.queue_s + packets_s + costs.server_s * now.server_stretch
    latency_s: Floats = device_s * now.device_stretch + stays * costs.sends * away_s
    return latency_s


def _accuracy(candidates: Candidates) -> Floats:
    """Return the formula's accuracy, (C,)."""
    recorded, c = candidates.recorded, candidates
    calibration = recorded.calibration
    of_end = {
        place: float((answers == calibration.labels).mean())
        for place, answers in calibration.answers.items()
    }
    end = np.array(
        [
            of_end.get((cut, level), c.whole_accuracy) if level else c.whole_accuracy
            for cut, level in zip(c.cut.tolist(), c.level, strict=True)
        ]
    )
    stays = 1.0 - c.exit_shares.sum(axis=1)
    accuracy: Floats = c.exit_shares @ recorded.exits_right.mean(axis=1) + stays * end
    return accuracy


def _combinations(recorded: Recorded) -> Mapping[Place, Floats]:
    """Return every cut with every vector of a grid as fine as its exits allow."""
    manifest, levels = recorded.manifest, raw_levels(recorded)
    depth, places = max(manifest.cuts), {}
    for cut in manifest.cuts:
        if cut in levels or cut == depth:
            exits = manifest.exits_before(cut)
            steps = next(n for n in range(10, 1, -1) if n**exits <= _MOST_VECTORS or n == 2)
            combinations = itertools.product(threshold_choices(recorded, steps), repeat=exits)
            vectors = np.array(list(combinations), dtype=np.float64)
            places[cut, levels.get(cut)] = vectors
    return places

"""How well an exit policy decides on recorded samples: chosen on held-out ones, counted on others.

A policy that learns does so from training samples. On held-out samples all thresholds that no
others beat are traced, all exits together. That way through thresholds is then walked on the test
samples. As on a device, the end answers together with the last exit where that is better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.exit_tasks import Recorded
from offramp.errors import InputError
from offramp.exits import FittedPolicy
from offramp.exits.evidence import Evidence
from offramp.exits.policy import ExitPolicy, first_exit
from offramp.exits.regret import offload_rate, oracle_rate
from offramp.guarantee import Outcomes, trace_frontier

__all__ = ["BELOW_TAIL", "Chosen", "Walk", "best_offload", "walk"]

BELOW_TAIL = 0.005
POINTS = 400
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Chosen:
    """What thresholds do that were chosen on held-out samples, on the test samples.

    ``macs`` and ``time`` are shares of what the whole model takes with its exits, ``drop`` is how
    far the accuracy is below the whole model's, ``leaving`` the share that exits answer.
    """

    macs: float
    time: float
    drop: float
    leaving: float


@dataclass(frozen=True)
class Walk:
    """A policy's way from all samples leaving at once to none, on the test samples.

    ``promised`` (P,) is the drop on the samples that chose, the others are as in `Chosen`, (P,).
    ``offload`` holds for each exit the least share of samples to send on, if it were the only one,
    for an accuracy `BELOW_TAIL` below the whole model's, which answers alone; None if no share
    reaches it. ``offload_joined`` is the same if it answers together with that exit.
    """

    promised: Floats
    macs: Floats
    time: Floats
    drop: Floats
    leaving: Floats
    offload: tuple[float | None, ...]
    offload_joined: tuple[float | None, ...]

    def chosen(self, most_drop: float) -> Chosen:
        """Return the cheapest thresholds that lose at most so much on the held-out samples."""
        at = np.flatnonzero(self.promised <= most_drop)[0]
        return Chosen(*(float(a[at]) for a in (self.macs, self.time, self.drop, self.leaving)))

    def least_macs(self, most_drop: float) -> float | None:
        """Return the least share of multiply-adds at which the test samples lose no more.

        None if they lose more all along.
        """
        within = self.macs[self.drop <= most_drop + 1e-9]
        return float(within.min()) if within.size else None


def walk(rule: ExitPolicy, recorded: Recorded, times_s: Floats) -> Walk:
    """Fit a policy, and walk it; ``times_s`` (E + 1,) is what an answer at each exit takes."""
    policy, test = FittedPolicy(rule, rule.fit(recorded.train)), recorded.test
    thresholds, promised = _way(policy, recorded)
    scores, right, costs = policy.scores(test), test.right, test.recorded.costs
    ends = [recorded.end_right(test, at) for at in range(test.exits)]
    answers = np.stack([*right[:-1], ends[-1]])
    places = np.stack([first_exit(scores, row) for row in thresholds])
    accuracy = answers[places, np.arange(len(test))].mean(axis=1)
    least = right[-1].mean() - BELOW_TAIL
    return Walk(
        promised,
        costs[places].mean(axis=1) / costs[-1],
        times_s[places].mean(axis=1) / times_s[-1],
        right[-1].mean() - accuracy,
        (places < test.exits).mean(axis=1),
        tuple(_offload(scores[at], right[at], right[-1], least) for at in range(test.exits)),
        tuple(_offload(scores[at], right[at], end, least) for at, end in enumerate(ends)),
    )


def best_offload(test: Evidence) -> tuple[float, ...]:
    """Return for each exit what `Walk.offload` is for who knows which answers are right."""
    *exits, final = test.right
    return tuple(oracle_rate(right, final, final.mean() - BELOW_TAIL) for right in exits)


def _way(policy: FittedPolicy, recorded: Recorded) -> tuple[Floats, Floats]:
    """Return threshold vectors by rising cost, and what each loses on the held-out samples."""
    held = recorded.held_out
    right, end_right = held.right, recorded.end_right(held, held.exits - 1)
    scores = np.nan_to_num(policy.scores(held), nan=0.0)
    outcomes = Outcomes(scores, right[:-1], end_right, held.recorded.costs, right[-1])
    found = trace_frontier(outcomes)
    rows = np.unique(np.linspace(0, len(found) - 1, POINTS).round().astype(int))
    return found.thresholds[rows], right[-1].mean() - found.accuracy[rows]


def _offload(
    scores: Floats, exit_right: NDArray[np.bool_], final_right: NDArray[np.bool_], least: float
) -> float | None:
    try:
        return offload_rate(scores, exit_right, final_right, least)
    except InputError:  # equal scores go together, and that is too coarse
        return None

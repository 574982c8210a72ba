"""The planner: the best candidate for given conditions, exactly, with its reason.

The latency of a sample sent under a candidate is ``fixed + 8 bytes / bandwidth``; of one that
leaves, the time to its exit. With the exit shares known, the mean over samples is affine in
1 / bandwidth, so planning is array arithmetic over the candidates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.bundle import Bundle
from offramp.errors import PlanError
from partitioner.candidates import CLOSED, Candidates
from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan, Prediction
from partitioner.profile import Profile

__all__ = ["FRAME_OVERHEAD_BYTES", "Planner", "Ranking"]

FRAME_OVERHEAD_BYTES = 110
"""Bytes that a request adds to its frames: protobuf fields, gRPC and HTTP/2 framing, TCP/IP."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """Candidates in order of preference; ``feasible`` tells which meet the objective."""

    rows: NDArray[np.int64]
    mean_s: Floats
    p95_s: Floats
    miss_share: Floats
    feasible: NDArray[np.bool_]


class Planner:
    """Chooses among candidates with the two machines' profiles; holds no state between calls."""

    def __init__(
        self, bundle: Bundle, candidates: Candidates, device: Profile, server: Profile
    ) -> None:
        device.check(bundle)
        server.check(bundle)
        device.check_heads(bundle)
        self.bundle = bundle
        self.candidates = candidates
        self.device = device
        self.server = server
        runs = candidates.thresholds < CLOSED
        exit_s = np.array([t.median_s for t in device.exits])
        spent = np.cumsum(runs * exit_s, axis=1)
        at = [spec.boundary for spec in bundle.manifest.exits]
        # Measurements waver, but no head is faster than a shorter one: quantiles rely on that.
        head_s = np.maximum.accumulate([t.median_s for t in device.head])
        self._exit_s = head_s[at] + spent if at else spent
        exits_s = spent[:, -1] if at else 0.0
        keys = [f"{cut}/{level}" for cut, level in self._choices()]
        self._device_s = head_s[candidates.cut] + exits_s + _medians(device.encode, keys)
        tail_s = np.array([t.median_s for t in server.tail])
        self._server_s = tail_s[candidates.cut] + _medians(server.decode, keys)
        self._sends = candidates.sends

    def plan(self, objective: Objective, conditions: Conditions) -> Plan:
        """Return the best plan and why it is the best.

        If no plan meets accuracy floor and deadline, the reason says so. The floor goes first: of
        the plans that keep it, the least late one is returned. If none keeps it, the most
        accurate of those in time is.
        """
        ranking = self.rank(objective, conditions)
        return self.describe(ranking, objective, conditions)

    def rank(
        self,
        objective: Objective,
        conditions: Conditions,
        allowed: Callable[[Candidates], NDArray[np.bool_]] | None = None,
    ) -> Ranking:
        """Order the candidates: those that meet the objective first, best first."""
        floor = self.accuracy_floor(objective)
        mean_s, p95_s, late = self._evaluate(objective, conditions)
        candidates = self.candidates
        usable = np.ones(len(candidates), bool) if allowed is None else allowed(candidates)
        if not conditions.reachable:
            usable &= ~self._sends
        if not usable.any():
            raise PlanError("no plan is left: the strategy allows none under these conditions")
        accurate = candidates.accuracy >= floor - 1e-12
        shortfall = np.where(accurate, 0.0, floor - candidates.accuracy)
        in_time = late <= objective.max_miss_share + 1e-12
        target = mean_s if objective.minimise == "mean" else p95_s
        # Preference: accurate enough; in time; the most accurate of those that are not accurate
        # enough; the least late of those that are late; the best by the target.
        lateness = np.where(in_time, 0.0, late)
        order = np.lexsort((target, lateness, shortfall, ~in_time, ~accurate))
        rows = order[usable[order]]
        return Ranking(rows, mean_s, p95_s, late, accurate & in_time)

    def describe(self, ranking: Ranking, objective: Objective, conditions: Conditions) -> Plan:
        """Return the first of a ranking as a plan, with its reason in words and numbers."""
        best = int(ranking.rows[0])
        plan = self._plan_of(best, ranking)
        return Plan(
            plan.cut,
            plan.level,
            plan.policy,
            plan.thresholds,
            plan.prediction,
            self._reason(ranking, objective, conditions),
        )

    def runners_up(self, ranking: Ranking, count: int = 3) -> list[Plan]:
        """Return the best plan of each other cut, best first."""
        seen = {int(self.candidates.cut[ranking.rows[0]])}
        plans: list[Plan] = []
        for row in ranking.rows:
            cut = int(self.candidates.cut[row])
            if cut not in seen and len(plans) < count:
                seen.add(cut)
                plans.append(self._plan_of(int(row), ranking))
        return plans

    def predict(
        self, plan: Plan, objective: Objective, conditions: Conditions
    ) -> Prediction | None:
        """Return what a plan would do now; None if it is none of the candidates."""
        candidates = self.candidates
        padded = np.full(candidates.thresholds.shape[1], CLOSED)
        padded[: len(plan.thresholds)] = plan.thresholds
        same = (candidates.cut == plan.cut) & (candidates.thresholds == padded).all(axis=1)
        rows = [row for row in np.flatnonzero(same) if candidates.level[row] == plan.level]
        if not rows:
            return None
        mean_s, p95_s, late = self._evaluate(objective, conditions)
        ranking = Ranking(np.array(rows), mean_s, p95_s, late, np.ones(len(candidates), bool))
        return self._plan_of(int(rows[0]), ranking).prediction

    def accuracy_floor(self, objective: Objective) -> float:
        """Return the least accuracy on the calibration samples that the objective allows."""
        floors = [0.0]
        if objective.min_accuracy is not None:
            floors.append(objective.min_accuracy)
        if objective.max_accuracy_drop is not None:
            floors.append(self._whole_accuracy() - objective.max_accuracy_drop)
        return max(floors)

    def _whole_accuracy(self) -> float:
        """Return the accuracy of the model as it was compiled, whatever the device's heads lose."""
        if quantised := self.bundle.manifest.quantised:
            return quantised.accuracies[-1].exact
        return self.candidates.whole_accuracy

    def _evaluate(
        self, objective: Objective, conditions: Conditions
    ) -> tuple[Floats, Floats, Floats]:
        """Return mean, 95th percentile and share of late samples of every candidate."""
        c = self.candidates
        exit_s = self._exit_s * conditions.device_stretch
        fixed_s = self._device_s * conditions.device_stretch + self._sends * (
            conditions.rtt_s
            + conditions.queue_s
            + self._server_s * conditions.server_stretch
            + 8 * FRAME_OVERHEAD_BYTES / conditions.bandwidth_bps
        )
        per_byte_s = 8 / conditions.bandwidth_bps
        stays = 1.0 - c.exit_shares.sum(axis=1)
        mean_s = (c.exit_shares * exit_s).sum(axis=1) + stays * fixed_s + c.bytes_mean * per_byte_s
        p95_s = self._quantile(0.95, exit_s, fixed_s, per_byte_s)
        if objective.deadline_s is None:
            return mean_s, p95_s, np.zeros(len(c))
        late_exits = (c.exit_shares * (exit_s > objective.deadline_s)).sum(axis=1)
        room = (objective.deadline_s - fixed_s) / per_byte_s
        samples = c.sent_bytes.shape[1]
        stayed = np.rint(stays * samples)
        late = np.minimum((c.sent_bytes > room[:, None]).sum(axis=1), stayed)
        return mean_s, p95_s, late_exits + late / samples

    def _quantile(self, q: float, exit_s: Floats, fixed_s: Floats, per_byte_s: float) -> Floats:
        """Return the latency that a share ``q`` of the samples does not exceed."""
        c = self.candidates
        samples = c.sent_bytes.shape[1]
        place = int(np.ceil(q * samples)) - 1
        quantile = fixed_s + c.sent_bytes[:, place] * per_byte_s
        gone = c.exit_shares.cumsum(axis=1)
        for at in reversed(range(gone.shape[1])):
            quantile = np.where(gone[:, at] * samples > place + 0.5, exit_s[:, at], quantile)
        return quantile

    def _plan_of(self, row: int, ranking: Ranking) -> Plan:
        c = self.candidates
        cut = int(c.cut[row])
        active = self.bundle.manifest.exits_before(cut)
        return Plan(
            cut=cut,
            level=c.level[row],
            policy=c.policy,
            thresholds=tuple(float(t) for t in c.thresholds[row, :active]),
            prediction=Prediction(
                mean_s=float(ranking.mean_s[row]),
                p95_s=float(ranking.p95_s[row]),
                miss_share=float(ranking.miss_share[row]),
                accuracy=float(c.accuracy[row]),
                exit_shares=tuple(float(s) for s in c.exit_shares[row, :active]),
                sent_share=float(c.sent_share[row]),
                bytes_mean=float(c.bytes_mean[row]),
            ),
        )

    def _reason(self, ranking: Ranking, objective: Objective, conditions: Conditions) -> str:
        best = int(ranking.rows[0])
        target = ranking.mean_s if objective.minimise == "mean" else ranking.p95_s
        link = (
            f"{conditions.bandwidth_bps / 1e6:.3g} Mbit/s and {conditions.rtt_s * 1e3:.3g} ms"
            if conditions.reachable
            else "no reachable server"
        )
        text = f"with {link}, {objective.minimise} {target[best] * 1e3:.3g} ms is the least"
        if not ranking.feasible[best]:
            text += (
                f"; no plan keeps both accuracy {self.accuracy_floor(objective):.4g} and the "
                f"deadline, so this is the nearest (accuracy {self.candidates.accuracy[best]:.4g}, "
                f"{ranking.miss_share[best]:.1%} late)"
            )
        others = self.runners_up(ranking, 1)
        if others and others[0].prediction:
            other = others[0].prediction
            value = other.mean_s if objective.minimise == "mean" else other.p95_s
            text += f"; next: {others[0].describe()} at {value * 1e3:.3g} ms"
        return text

    def _choices(self) -> list[tuple[int, str | None]]:
        return list(zip(self.candidates.cut.tolist(), self.candidates.level, strict=True))


def _medians(timings: object, keys: list[str]) -> Floats:
    assert isinstance(timings, dict)
    return np.array([timings[key].median_s if key in timings else 0.0 for key in keys])

"""Controllers of virtual devices: the deployed one, and one that knows what comes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from device.controller import Controller
from device.in_force import PlanChange
from device.stretch import Stretch
from device.tuning import Tuning
from device.uplink import Expected
from partitioner.conditions import Conditions
from partitioner.costs import FRAME_OVERHEAD_BYTES
from partitioner.foreseen import best_foreseen
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.strategies import Clairvoyant, Strategy
from sim.world.course import LoadCourse
from sim.world.foresight import UNLIMITED_BPS, Coming
from sim.world.truth import Truth

__all__ = ["Seer", "make_controller"]


class _TrueStretch(Stretch):
    """What a device is slowed by, which need not be observed."""

    def __init__(self, load: LoadCourse) -> None:
        super().__init__(math.inf)
        self._load = load

    def at(self, now_s: float) -> float:
        """Return the true stretch."""
        return self._load.stretch(now_s)

    def observe(self, now_s: float, observed_s: float, expected_s: float) -> None:
        """Learn nothing."""


@dataclass
class Seer(Controller):
    """A controller whose strategy is told what comes; it estimates nothing and sends no probes.

    A plan is made for every sample, or once for all that will come. Answers that come are waited
    for as long as anything can be answered in time.
    """

    truth: Truth = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.device_stretch = _TrueStretch(self.truth.load)

    def conditions(self, now_s: float) -> Conditions:
        """Return what is true of link and machines, as far as conditions can say it."""
        foresight, now = self.truth.foresight, self._coming(now_s)
        rtt_s = foresight.away_s(now_s, 0.0, 0.0)
        known = now.reachable and rtt_s < math.inf
        return Conditions(
            bandwidth_bps=min(foresight.bandwidth_bps(now_s), UNLIMITED_BPS) if known else 1.0,
            rtt_s=rtt_s if known else 0.0,
            device_stretch=now.device_stretch,
            reachable=now.reachable,
            rate_hz=self.rate_hz,
        )

    def plan(self, now_s: float) -> Plan:
        """Return the plan that is the best for what comes."""
        if self.strategy.adapts:
            self._take_up(now_s, self._foresee([self._coming(now_s)]))
        elif self._in_force.plan is None:
            is_open = self.truth.foresight.is_open
            futures = [
                self._to_come(at_s, gap_s, is_open(at_s)) for at_s, gap_s in self.truth.arrivals_s
            ]
            self._take_up(now_s, self._foresee(futures))
        assert self._in_force.plan is not None
        return self._in_force.plan

    def local_plan(self, now_s: float) -> Plan:
        """Return the best plan that sends nothing."""
        return best_foreseen(self.planner, self.objective, [self._coming(now_s)], alone=True)

    def expect(self, now_s: float, size_bytes: int, cut: int, ahead_s: float = 0.0) -> Expected:
        """Return when an answer comes, and for how long to wait for it: for ever, or not at all.

        When it comes is known but for jitter and losses, so there is no better time to give it up.
        """
        size, tail_s = size_bytes + FRAME_OVERHEAD_BYTES, self.planner.server.tail[cut].median_s
        away_s = self.truth.foresight.away_s(now_s + ahead_s, size, tail_s)
        return Expected(away_s, away_s, math.inf if away_s < self.objective.latest_s else 0.0)

    def overdue(self, now_s: float, message: int) -> None:
        """Nothing is to be learnt from silence."""

    def probe_bytes(self, now_s: float) -> int | None:
        """Return that no probe is due."""
        return None

    def next_probe_s(self, now_s: float) -> float:
        """Return that none will be."""
        return math.inf

    def _foresee(self, futures: Sequence[Coming]) -> Plan:
        assert isinstance(self.strategy, Clairvoyant)
        return self.strategy.foresee(self.planner, self.objective, futures)

    def _coming(self, now_s: float) -> Coming:
        """Return what happens to a sample that begins now."""
        gap_s = self.truth.next_s(now_s) - now_s
        return self._to_come(now_s, gap_s, self.truth.foresight.reaches(now_s))

    def _to_come(self, at_s: float, gap_s: float, reachable: bool) -> Coming:
        """Return what happens to one that begins at a time, so long before the next one comes."""
        stretch = self.truth.load.stretch(at_s)
        return Coming(self.truth.foresight, at_s, stretch, reachable, gap_s)

    def _take_up(self, now_s: float, chosen: Plan) -> None:
        in_force = self._in_force.plan
        if in_force is not None and chosen.id == in_force.id:
            return
        conditions = self.conditions(now_s)
        explain = partial(
            self.strategy.explain, self.planner, objective=self.objective, conditions=conditions
        )
        self._in_force.take_up(PlanChange(now_s, chosen, conditions, explain))


def make_controller(
    planner: Planner,
    objective: Objective,
    strategy: Strategy,
    tuning: Tuning,
    truth: Callable[[], Truth],
) -> Controller:
    """Return what decides on a virtual device's plans: what is deployed, wherever that exists."""
    if strategy.clairvoyant:
        return Seer(planner, objective, strategy, tuning, truth=truth())
    return Controller(planner, objective, strategy, tuning)

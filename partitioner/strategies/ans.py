"""Strategy `ans`: a linear bandit that learns what sending costs from the answers alone."""

from __future__ import annotations

import math

import numpy as np

from partitioner.conditions import Conditions
from partitioner.costs import FRAME_OVERHEAD_BYTES, Costs
from partitioner.demands import Floats
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.published import as_published, least, without_exits
from partitioner.strategies.strategy import Strategy

__all__ = ["Ans"]

_FRAMES = 200
"""The horizon to begin with; it doubles whenever it is passed."""
_FORCED = 0.25
_KEY, _WEIGHT = 0.8, 0.2  # of key frames and of all others: how little these explore
_DELTA = 0.1
_LONGEST, _NOISE = 0.05, 0.01  # theirs: 1 and 0.05, of times in seconds and contexts in MACs
_EXACT = 1e-12


class Ans(Strategy):
    """ANS (Zhang, Chen and Xu, IEEE INFOCOM 2021): muLinUCB, without exits or compression.

    The device's own times are known; what comes after is a linear function, not known, of what is
    sent: here of the tail's multiply-adds and segments, the bytes, and that there is a message at
    all. Of all cuts that of the least lower confidence bound is taken. As a device alone learns
    nothing, it is left out every ceil(T^0.25)th frame, T being a horizon that doubles. Neither
    bandwidth nor server load is looked at, nor forgotten what was learnt when they change: both as
    published. Each decision that counts is a frame.

    Reconstructed from the authors' code (letian-zhang/ANS): a bundle tells multiply-adds by segment
    and not by type of layer, so there are 4 contexts instead of 7, of which the constant, for the
    round trip, is new; contexts are scaled to at most 1, times by the device's own for the whole
    model. No frame is a key frame. The regulariser is 1, where theirs is drawn. The bounds on
    parameters and noise are a 20th and a 5th of theirs, with which it would still explore after a
    thousand frames. An answer that never comes teaches nothing.
    """

    name = "ans"
    rule = "the cut of the least bound of what a bandit has learnt of latencies"
    adapts = True
    steady = False

    def __init__(self) -> None:
        self._frame, self._horizon = 0, _FRAMES
        self._of: Planner | None = None
        self._contexts_of: dict[tuple[int, str | None], Floats] = {}

    def decide(self, planner: Planner, objective: Objective, conditions: Conditions) -> Plan:
        """Return the cut of the least bound; while no server answers, the device alone."""
        conditions = as_published(conditions)
        arms = self.among(planner)
        if arms is not self._of:
            self._begin(arms, conditions)
        costs = arms.forecast(conditions).costs
        if not conditions.reachable:
            return least(arms, conditions, costs.device_s)
        frame, horizon = self._next_frame()
        taken_off = self._bound(horizon)
        bound = costs.device_s / self._scale_s * conditions.device_stretch + taken_off
        forced = frame % math.ceil(horizon**_FORCED) == 0 and costs.sends.any()
        return least(arms, conditions, np.where(forced & ~costs.sends, np.inf, bound))

    def decided(self, conditions: Conditions) -> None:
        """Count a frame, unless the device was alone."""
        if conditions.reachable:
            self._frame, self._horizon = self._next_frame()

    def among(self, planner: Planner) -> Planner:
        """Return a planner for all cuts."""
        return without_exits(planner)

    def learn(self, plan: Plan, away_s: float) -> None:
        """Take in how long an answer took; of plans of its own it learns."""
        context = self._contexts_of.get((plan.cut, plan.level))
        if context is not None and plan.level is not None:
            self._moments += np.outer(context, context)
            self._sums += context * (away_s / self._scale_s)

    def _begin(self, arms: Planner, conditions: Conditions) -> None:
        """Learn anew, about the cuts of another bundle."""
        costs, candidates = arms.forecast(conditions).costs, arms.candidates
        self._of, self._contexts = arms, _contexts(costs, arms)
        places = zip(candidates.cut.tolist(), candidates.level, strict=True)
        self._contexts_of = dict(zip(places, self._contexts, strict=True))
        self._scale_s = max(float(costs.device_s.max()), _EXACT)
        self._moments = np.eye(self._contexts.shape[1])
        self._sums = np.zeros(self._contexts.shape[1])

    def _next_frame(self) -> tuple[int, int]:
        """Return the number of the frame that is decided on, and the horizon that holds for it."""
        frame = self._frame + 1
        return (frame, self._horizon) if frame <= self._horizon else (0, 2 * self._horizon)

    def _bound(self, horizon: int) -> Floats:
        """Return the lower confidence bound of what each arm takes away from the device, (C,)."""
        inverse = np.linalg.inv(self._moments)
        x, size = self._contexts, self._contexts.shape[1]
        most = float((x**2).sum(axis=1).max())
        spread = math.sqrt(size * math.log((1 + horizon * most) / _DELTA))
        alpha = (_LONGEST + _NOISE * spread) / (1 - _KEY)
        width = np.sqrt((1 - _WEIGHT) * np.einsum("ci,ij,cj->c", x, inverse, x))
        bound: Floats = x @ (inverse @ self._sums) - alpha * width
        return bound


def _contexts(costs: Costs, arms: Planner) -> Floats:
    """Return what each arm's latency may hang on, (C, 4), 0 where nothing is sent."""
    segments = [segment.macs for segment in arms.bundle.manifest.segments]
    macs_after = np.cumsum([0, *segments[::-1]])[::-1]
    c = costs.candidates
    contexts = (
        np.stack(
            [
                macs_after[c.cut].astype(np.float64),
                (len(segments) - c.cut).astype(np.float64),
                c.bytes_mean + FRAME_OVERHEAD_BYTES,
                np.ones(len(c)),
            ],
            axis=1,
        )
        * c.sends[:, None]
    )
    scaled: Floats = contexts / np.maximum(contexts.max(axis=0), 1.0)
    return scaled

"""The adaptation: thresholds that follow the samples of which the end's answer comes to be known.

Answers come from any thread, and are taken in before the next head. It has no clock.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from offramp.guarantee.adaptive import AdaptiveThresholds
from offramp.tensors import Array
from partitioner.plan import Plan

__all__ = ["Adaptation", "ThresholdsMoved"]

_TOLD = 0.01
_MOST_WAITING = 1024


@dataclass(frozen=True)
class ThresholdsMoved:
    """The thresholds with which a plan runs now instead of its own."""

    plan: str
    thresholds: tuple[float, ...]


class Adaptation:
    """What a head asks: how sure is sure enough, and which sample goes on all the same."""

    def __init__(self, rule: AdaptiveThresholds) -> None:
        self._rule = rule
        self._known: collections.deque[tuple[list[float], list[bool], bool]] = collections.deque(
            maxlen=_MOST_WAITING
        )
        self._told: dict[str, tuple[float, ...]] = {}

    def thresholds(self, plan: Plan) -> tuple[float, ...]:
        """Take in the answers that have come; return the plan's thresholds as they are now."""
        while self._known:
            scores, agrees, sentinel = self._known.popleft()
            self._rule.observe(scores, agrees, sentinel=sentinel)
        return self._rule.thresholds(plan.thresholds)

    def is_sentinel(self) -> bool:
        """Draw whether a sample goes on of which an exit is sure. To be asked once for each."""
        return self._rule.is_sentinel()

    def learn(
        self,
        scores: Mapping[int, float],
        logits: Mapping[int, Array],
        final: Array,
        *,
        sentinel: bool,
    ) -> None:
        """Take the end's logits (C,) for a sample, and the scores and logits of the exits that ran.

        They are learnt from when `thresholds` is asked next. May be called from any thread.
        """
        if scores and np.isfinite(final).all():
            exits = range(max(scores) + 1)
            agrees = [at in logits and logits[at].argmax() == final.argmax() for at in exits]
            known = [scores.get(at, math.nan) for at in exits]
            self._known.append((known, [bool(agreed) for agreed in agrees], sentinel))

    def moved(self, plan: Plan, thresholds: tuple[float, ...]) -> ThresholdsMoved | None:
        """Return a plan's thresholds if one has moved by a hundredth since they were told."""
        told = self._told.get(plan.id, plan.thresholds)
        if max((abs(t - s) for t, s in zip(thresholds, told, strict=True)), default=0) < _TOLD:
            return None
        self._told[plan.id] = thresholds
        return ThresholdsMoved(plan.id, thresholds)

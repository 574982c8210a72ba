"""What if: which plan wins where, as one or two things change and all others stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from offramp.choices import choose
from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.strategies import Strategy

__all__ = ["AXES", "Axis", "Region", "Situation", "draw_map", "get_axis", "sweep"]

_STEPS = 256
_NEAR = 1e-4


@dataclass(frozen=True)
class Situation:
    """What a plan is chosen for: the objective and the conditions."""

    objective: Objective
    conditions: Conditions


@dataclass(frozen=True)
class Axis:
    """Something that may change, from ``low`` to ``high``; ``logarithmic`` if ratios count.

    ``put`` returns the situation with another value. ``per_unit`` is what one of the ``unit`` that
    people read is in the value's own.
    """

    name: str
    unit: str
    per_unit: float
    low: float
    high: float
    logarithmic: bool
    put: Callable[[Situation, float], Situation]

    def values(self, count: int) -> list[float]:
        """Return values from low to high, evenly spaced on the axis."""
        space = np.geomspace if self.logarithmic else np.linspace
        return [float(value) for value in space(self.low, self.high, count)]

    def between(self, low: float, high: float) -> float:
        """Return the value in the middle of two on the axis."""
        return (low * high) ** 0.5 if self.logarithmic else (low + high) / 2

    def show(self, value: float) -> str:
        """Return a value as people read it, without its unit."""
        return f"{value / self.per_unit:.3g}"


def _condition(name: str) -> Callable[[Situation, float], Situation]:
    def put(at: Situation, value: float) -> Situation:
        changes: dict[str, Any] = {name: value}
        return replace(at, conditions=replace(at.conditions, **changes))

    return put


def _put_drop(at: Situation, value: float) -> Situation:
    changes = {"max_accuracy_drop": value, "min_accuracy": None}
    return replace(at, objective=at.objective.model_copy(update=changes))


AXES = {
    axis.name: axis
    for axis in (
        Axis("bandwidth", "Mbit/s", 1e6, 0.03e6, 300e6, True, _condition("bandwidth_bps")),
        Axis("rtt", "ms", 1e-3, 1e-3, 1.0, True, _condition("rtt_s")),
        Axis("queue", "ms", 1e-3, 1e-3, 1.0, True, _condition("queue_s")),
        Axis("device-load", "times", 1.0, 1.0, 16.0, True, _condition("device_stretch")),
        Axis("server-load", "times", 1.0, 1.0, 64.0, True, _condition("server_stretch")),
        Axis("accuracy-drop", "%", 0.01, 0.0, 0.05, False, _put_drop),
    )
}


@dataclass(frozen=True)
class Region:
    """The values from ``low`` to ``high`` of an axis, at which one plan wins."""

    low: float
    high: float
    plan: Plan


def get_axis(name: str) -> Axis:
    """Return an axis by its name; raise `ConfigError` if it is unknown."""
    return choose("axis", name, AXES)


def sweep(planner: Planner, strategy: Strategy, at: Situation, axis: Axis) -> list[Region]:
    """Return which plan wins from where to where along an axis.

    A border is found to a ten-thousandth by halving; of a plan that wins only between two of the
    256 values that are tried first nothing is seen.
    """

    def wins(value: float) -> Plan:
        moved = axis.put(at, value)
        return strategy.decide(planner, moved.objective, moved.conditions)

    values = axis.values(_STEPS)
    plans = [wins(value) for value in values]
    regions: list[Region] = []
    start = values[0]
    for (low, before), (high, after) in pairwise(zip(values, plans, strict=True)):
        if before.id != after.id:
            border = _border(axis, wins, (low, high), before)
            regions.append(Region(start, border, before))
            start = border
    return [*regions, Region(start, values[-1], plans[-1])]


def _border(
    axis: Axis, wins: Callable[[float], Plan], between: tuple[float, float], before: Plan
) -> float:
    low, high = between
    while high - low > _NEAR * max(high, axis.high * _NEAR):
        middle = axis.between(low, high)
        low, high = (middle, high) if wins(middle).id == before.id else (low, middle)
    return high


def draw_map(
    planner: Planner,
    strategy: Strategy,
    at: Situation,
    axes: tuple[Axis, Axis],
    shape: tuple[int, int],
) -> list[list[Plan]]:
    """Return which plan wins at every pair of values of two axes, (second, first)."""
    first, second = (axis.values(count) for axis, count in zip(axes, shape, strict=True))
    plans: list[list[Plan]] = []
    for y in second:
        row: Sequence[Situation] = [axes[0].put(axes[1].put(at, y), x) for x in first]
        plans.append([strategy.decide(planner, s.objective, s.conditions) for s in row])
    return plans

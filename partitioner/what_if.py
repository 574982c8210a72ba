"""What if: which plan wins where, as one or two things change and all others stay."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from offramp.choices import choose
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.situation import Situation
from partitioner.strategies import Strategy

__all__ = ["AXES", "Axis", "Region", "draw_map", "get_axis", "sweep"]

_STEPS = 256
_NEAR = 1e-4


@dataclass(frozen=True)
class Axis:
    """Something that may change, from ``low`` to ``high``; ``logarithmic`` if ratios count.

    One that may be ``zero`` as well has 0 below ``low``, as its first value. ``get`` returns its
    value in a situation, ``put`` the situation with another value. ``per_unit`` is what one of the
    ``unit`` that people read is in the value's own.
    """

    name: str
    unit: str
    per_unit: float
    low: float
    high: float
    logarithmic: bool
    get: Callable[[Situation], float]
    put: Callable[[Situation, float], Situation]
    zero: bool = False

    def values(self, count: int) -> list[float]:
        """Return values from the least to the highest, evenly spaced on the axis."""
        space = np.geomspace if self.logarithmic else np.linspace
        spaced = [float(value) for value in space(self.low, self.high, count - self.zero)]
        return [0.0, *spaced] if self.zero else spaced

    def place(self, value: float, count: int) -> int | None:
        """Return which of ``count`` values is nearest to one; None if it is not on the axis."""
        if self.zero and 0 <= value < self.low:
            return round(value / self.low)
        if not self.low <= value <= self.high:
            return None
        space = np.log if self.logarithmic else float
        low, high, at = (float(space(v)) for v in (self.low, self.high, value))
        return round((at - low) / (high - low) * (count - 1 - self.zero)) + self.zero

    def between(self, low: float, high: float) -> float:
        """Return the value in the middle of two on the axis."""
        ratios_count = self.logarithmic and low >= self.low
        return (low * high) ** 0.5 if ratios_count else (low + high) / 2

    def show(self, value: float) -> str:
        """Return a value as people read it, without its unit."""
        shown = value / self.per_unit
        return f"{shown:.3g}" if shown < 999.5 else f"{shown:.0f}"


def _condition(
    name: str,
) -> tuple[Callable[[Situation], float], Callable[[Situation, float], Situation]]:
    def get(at: Situation) -> float:
        return float(getattr(at.conditions, name))

    def put(at: Situation, value: float) -> Situation:
        changes: dict[str, Any] = {name: value}
        return replace(at, conditions=replace(at.conditions, **changes))

    return get, put


def _get_drop(at: Situation) -> float:
    drop = at.objective.max_accuracy_drop
    return math.inf if drop is None else drop


def _put_drop(at: Situation, value: float) -> Situation:
    changes = {"max_accuracy_drop": value, "min_accuracy": None}
    return replace(at, objective=at.objective.model_copy(update=changes))


AXES = {
    axis.name: axis
    for axis in (
        Axis("bandwidth", "Mbit/s", 1e6, 0.03e6, 300e6, True, *_condition("bandwidth_bps")),
        Axis("rtt", "ms", 1e-3, 1e-3, 1.0, True, *_condition("rtt_s")),
        Axis("queue", "ms", 1e-3, 1e-3, 1.0, True, *_condition("queue_s"), zero=True),
        Axis("device-load", "times", 1.0, 1.0, 16.0, True, *_condition("device_stretch")),
        Axis("server-load", "times", 1.0, 1.0, 64.0, True, *_condition("server_stretch")),
        Axis("rate", "samples/s", 1.0, 0.1, 1000.0, True, *_condition("rate_hz")),
        Axis("accuracy-drop", "%", 0.01, 0.0, 0.05, False, _get_drop, _put_drop),
    )
}


@dataclass(frozen=True)
class Region:
    """The values from ``low`` to ``high`` of an axis, at which one plan wins.

    ``plan`` is None where that which wins does not meet the objective. ``targets`` are what the
    objective minimises, at both ends; nan where there is no plan.
    """

    low: float
    high: float
    plan: Plan | None
    targets: tuple[float, float]


def get_axis(name: str) -> Axis:
    """Return an axis by its name; raise `ConfigError` if it is unknown."""
    return choose("axis", name, AXES)


def sweep(planner: Planner, strategy: Strategy, at: Situation, axis: Axis) -> list[Region]:
    """Return which plan wins from where to where along an axis.

    A border is found to a ten-thousandth by halving; of a plan that wins only between two of the
    256 values that are tried first nothing is seen.
    """

    def wins(value: float) -> Plan | None:
        return _winner(planner, strategy, axis.put(at, value))

    def region(low: float, high: float, plan: Plan | None) -> Region:
        ends = [
            _target(strategy.among(planner), plan, axis.put(at, value)) for value in (low, high)
        ]
        return Region(low, high, plan, (ends[0], ends[1]))

    values = axis.values(_STEPS)
    plans = [wins(value) for value in values]
    regions: list[Region] = []
    start = values[0]
    for (low, before), (high, after) in pairwise(zip(values, plans, strict=True)):
        if not _alike(before, after):
            border = _border(axis, wins, (low, high), before)
            regions.append(region(start, border, before))
            start = border
    return [*regions, region(start, values[-1], plans[-1])]


def _winner(planner: Planner, strategy: Strategy, at: Situation) -> Plan | None:
    """Return the plan that a strategy chooses; None if it does not meet the objective."""
    plan = strategy.decide(planner, at.objective, at.conditions)
    standing = strategy.among(planner).standing(plan, at.objective, at.conditions)
    return plan if standing is not None and standing.meets else None


def _alike(one: Plan | None, other: Plan | None) -> bool:
    """Tell whether two plans do the same, whatever was predicted of them."""
    return (one and one.id) == (other and other.id)


def _target(planner: Planner, plan: Plan | None, at: Situation) -> float:
    prediction = plan and planner.predict(plan, at.objective, at.conditions)
    return prediction.target if prediction else math.nan


def _border(
    axis: Axis,
    wins: Callable[[float], Plan | None],
    between: tuple[float, float],
    before: Plan | None,
) -> float:
    low, high = between
    while high - low > _NEAR * max(high, axis.high * _NEAR):
        middle = axis.between(low, high)
        low, high = (middle, high) if _alike(wins(middle), before) else (low, middle)
    return high


def draw_map(
    planner: Planner,
    strategy: Strategy,
    at: Situation,
    axes: tuple[Axis, Axis],
    shape: tuple[int, int],
) -> list[list[Plan | None]]:
    """Return which plan wins at every pair of values of two axes, (second, first).

    None stands where that which wins does not meet the objective.
    """
    if axes[0] is AXES["accuracy-drop"]:  # each objective is prepared for once, not in every row
        turned = draw_map(planner, strategy, at, (axes[1], axes[0]), (shape[1], shape[0]))
        return [list(column) for column in zip(*turned, strict=True)]
    first, second = (axis.values(count) for axis, count in zip(axes, shape, strict=True))
    plans = []
    for y in second:
        row = [axes[0].put(axes[1].put(at, y), x) for x in first]
        plans.append([_winner(planner, strategy, situation) for situation in row])
    return plans

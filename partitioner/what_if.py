"""What if: which plan wins where, as one or two things change and all others stay."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.situation import Situation
from partitioner.strategies import Strategy
from partitioner.what_if_axes import Axis

__all__ = ["Region", "draw_map", "sweep"]

_STEPS = 256
_NEAR = 1e-4


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
    if axes[0].name == "accuracy-drop":  # each objective is prepared for once, not in every row
        turned = draw_map(planner, strategy, at, (axes[1], axes[0]), (shape[1], shape[0]))
        return [list(column) for column in zip(*turned, strict=True)]
    first, second = (axis.values(count) for axis, count in zip(axes, shape, strict=True))
    plans = []
    for y in second:
        row = [axes[0].put(axes[1].put(at, y), x) for x in first]
        plans.append([_winner(planner, strategy, situation) for situation in row])
    return plans

"""Axes: what may change in a situation, from where to where, in the units of people."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from offramp.choices import choose
from offramp.quantities import figure
from partitioner.situation import Situation

__all__ = ["AXES", "Axis", "get_axis"]


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

    def reaching(self, at: Situation) -> Axis:
        """Return the axis, made long enough for a situation's value if that may be on it."""
        value = self.get(at)
        if not 0 < value < math.inf:
            return self
        low = self.low if self.zero else min(self.low, value)
        return replace(self, low=low, high=max(self.high, value))

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
        return figure(value / self.per_unit)


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
    return replace(at, objective=at.objective.model_copy(update={"max_accuracy_drop": value}))


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


def get_axis(name: str) -> Axis:
    """Return an axis by its name; raise `ConfigError` if it is unknown."""
    return choose("axis", name, AXES)

"""Courses: timelines of results as arrays, thinned to what a plot can show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Course", "read_course"]

_STEPS = 400  # that a plot of this width can show

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Course:
    """What one device saw and did, step by step; NaN where there is nothing to say.

    ``times_s`` (n + 1,) are the steps' edges, all others (n,). Rates in bit/s; ``dark`` steps had a
    true rate of 0 for at least a part. ``cuts`` and ``levels`` are those at the step's end, ``""``
    for a plan that sends nothing and None before the first.
    """

    device: str
    times_s: Floats
    bandwidth_bps: Floats
    believed_bps: Floats
    dark: NDArray[np.bool_]
    cuts: Floats
    levels: tuple[str | None, ...]
    latency_s: Floats
    worst_s: Floats
    late: Floats

    @property
    def group(self) -> str:
        """The device's group."""
        return self.device.rpartition("/")[0]


def read_course(timeline: Mapping[str, Any]) -> Course | None:
    """Return the course of a timeline (`sim.world.timeline`), or None of one without rows.

    Where it has more steps than can be seen, neighbours become one: rates and latencies by their
    mean, the worst and the late ones all counted.
    """
    rows = timeline["rows"]
    if not rows:
        return None
    columns = dict(zip(timeline["columns"], zip(*rows, strict=True), strict=True))
    size = math.ceil(len(rows) / _STEPS)
    parts = [slice(at, at + size) for at in range(0, len(rows), size)]
    rates, finished = _numbers(columns["bandwidth_bps"]), _numbers(columns["finished"])
    means_s, at_s = _numbers(columns["latency_mean_s"]), _numbers(columns["at_s"])
    first_s = 2 * at_s[0] - at_s[1] if len(at_s) > 1 else 0.0
    ends = [min(part.stop, len(rows)) - 1 for part in parts]
    return Course(
        device=timeline["device"],
        times_s=np.append(first_s, at_s[ends]),
        bandwidth_bps=np.array([np.mean(rates[part]) for part in parts]),
        believed_bps=_numbers(columns["believed_bps"])[ends],
        dark=np.array([bool((rates[part] == 0).any()) for part in parts]),
        cuts=_numbers(columns["cut"])[ends],
        levels=tuple(_level(columns["cut"][end], columns["level"][end]) for end in ends),
        latency_s=np.array([_mean(means_s[part], finished[part]) for part in parts]),
        worst_s=_fold(np.fmax, _numbers(columns["latency_max_s"]), parts),
        late=_fold(np.add, _numbers(columns["late"]), parts),
    )


def _numbers(values: Sequence[Any]) -> Floats:
    """Return values as numbers, NaN for those that are missing or not finite."""
    found = np.array([math.nan if value is None else float(value) for value in values])
    return np.where(np.isfinite(found), found, math.nan)


def _level(cut: int | None, level: str | None) -> str | None:
    return None if cut is None else level or ""


def _mean(means_s: Floats, weights: Floats) -> float:
    known = np.isfinite(means_s) & (weights > 0)
    if not known.any():
        return math.nan
    return float(np.average(means_s[known], weights=weights[known]))


def _fold(join: np.ufunc, values: Floats, parts: Sequence[slice]) -> Floats:
    return np.array([join.reduce(values[part]) for part in parts])

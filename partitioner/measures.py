"""Measures: what an objective can minimise or limit, each by its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from offramp.choices import choose
from offramp.errors import ConfigError
from offramp.quantities import figure, say_energy, say_time
from partitioner.demands import Floats
from partitioner.forecast import Forecast

__all__ = [
    "MEASURES",
    "Measure",
    "get_measure",
    "get_quantile",
    "is_less",
    "limit_name",
    "say_amount",
]

_QUANTILE = re.compile(r"p(\d+(?:\.\d+)?)")
_LEAST, _MOST = 1.0, 99.9
_EXACT = 1e-9


@dataclass(frozen=True)
class Measure:
    """A figure of a plan of which less is better: ``values`` gives it for C candidates, (C,).

    It takes the forecast and the objective's deadline, infinite without one.
    """

    name: str
    unit: str
    definition: str
    values: Callable[[Forecast, float], Floats]


MEASURES = {
    measure.name: measure
    for measure in (
        Measure("mean", "s", "mean latency", lambda f, d: f.mean_s),
        Measure("p95", "s", "latency of all samples but 5%", lambda f, d: f.quantile_s(0.95)),
        Measure("late", "share", "samples later than deadline_s", lambda f, d: f.late_share(d)),
        Measure("server", "s", "time of a sample at the server", lambda f, d: f.server_s),
        Measure("uplink", "bytes", "bytes of a sample on the uplink", lambda f, d: f.uplink_bytes),
        Measure("period", "s", "time between samples at full throughput", lambda f, d: f.period_s),
        Measure("energy", "j", "energy of a sample on the device", lambda f, d: f.energy_j),
        Measure("memory", "bytes", "memory on the device", lambda f, d: f.costs.held_bytes),
    )
}
"""Every measure; there is one like p95 for each percentage from p1 to p99.9."""


def get_measure(name: str) -> Measure:
    """Return a measure by its name; raise `ConfigError` if it is unknown."""
    share = get_quantile(name)
    if share is not None and name not in MEASURES:
        definition = f"latency of all samples but {100 * (1 - share):.4g}%"
        return Measure(name, "s", definition, lambda f, d: f.quantile_s(share))
    if share is None and _QUANTILE.fullmatch(name):
        raise ConfigError(f"unknown measure {name!r}; quantiles go from p{_LEAST:g} to p{_MOST:g}")
    return choose("measure", name, MEASURES)


def get_quantile(name: str) -> float | None:
    """Return the share of samples that a measure such as p95 tells of; None if it is no such."""
    match = _QUANTILE.fullmatch(name)
    return float(match[1]) / 100 if match and _LEAST <= float(match[1]) <= _MOST else None


def limit_name(measure: Measure) -> str:
    """Return how a limit on a measure is called: with its unit."""
    return f"{measure.name}_{measure.unit}"


def is_less(one: Any, other: Any) -> Any:
    """Tell whether an amount is less than another by more than what rounding makes of them."""
    return one * (1 + _EXACT) + _EXACT < other


def say_amount(name: str, amount: float) -> str:
    """Return an amount of a measure with its unit."""
    unit = get_measure(name).unit
    if unit == "s":
        return say_time(amount)
    if unit == "bytes" and amount >= 1000:
        return f"{amount:,.0f} bytes"
    if unit == "j":
        return say_energy(amount)
    if unit == "share":
        return f"{figure(round(100 * amount, 6))}%"  # less is next to nothing, as is what ties
    return f"{figure(amount)} {unit}"

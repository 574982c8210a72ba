"""The setup of runs: what ran where and how, and in what the runs of a report differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from offramp.report.lines import RunLine
from offramp.report.metrics import show_seconds
from offramp.report.runs import Run

__all__ = ["describe_setup", "find_differences"]

_FACTS: dict[str, Callable[[RunLine], str]] = {
    "model": lambda o: f"{o.model}, {o.segments} segments, {len(o.exits)} early exits",
    "bundle digest": lambda o: o.digest,
    "device's head": lambda o: f"in int8, {o.quantised.backend}" if o.quantised else "in float",
    "machine": lambda o: f"{o.machine.processor}, {o.machine.cores} cores, {o.machine.system}",
    "slowdown": lambda o: f"{o.slowdown:g} times slower than the machine it ran on",
    "source of the slowdown": lambda o: o.slowdown_source or "not stated",
    "whole model on the device": lambda o: _or_unknown(o.whole_model_s),
    "deadline": lambda o: _or_unknown(o.deadline_s),
    "arrival rate": lambda o: f"{o.rate_hz:g} a second" if o.rate_hz else "as fast as may be",
    "offramp": lambda o: o.offramp or "unknown",
}
_MEASURED = "whole model on the device"


def describe_setup(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Return what a reader must know of the runs: names of facts with their values."""
    return [
        (name, " / ".join(dict.fromkeys(fact(run.opening) for run in runs)))
        for name, fact in _FACTS.items()
    ]


def find_differences(runs: Sequence[Run]) -> list[str]:
    """Return the facts besides the strategy in which runs differ, so that a reader is warned."""
    found = [
        name
        for name, fact in _FACTS.items()
        if name != _MEASURED and len({fact(run.opening) for run in runs}) > 1
    ]
    samples = {tuple(sorted((r.id, r.label) for r in run.results)) for run in runs}
    return [*found, "samples"] if len(samples) > 1 else found


def _or_unknown(time_s: float | None) -> str:
    return "unknown" if time_s is None else show_seconds(time_s)

"""The setup of a scenario as plain facts: what a reader of its results must know.

It names no folder, so that the same scenario has the same facts on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from offramp.quantities import figure
from partitioner.strategies import STRATEGIES
from sim.arrivals import ArrivalSettings
from sim.link import ConditionSettings
from sim.world.course import LoadCourse
from sim.world.library import Library
from sim.world.scenario import GroupSettings, Scenario, ServerSettings
from sim.world.way import WaySettings

__all__ = ["describe_scenario"]


def describe_scenario(scenario: Scenario, library: Library) -> dict[str, Any]:
    """Return what was simulated, as JSON has it; ``clairvoyant`` strategies know the future."""
    return {
        "name": scenario.name,
        "requests": scenario.requests,
        "duration_s": scenario.duration_s,
        "warm_up_s": scenario.warm_up_s,
        "rpc_s": list(scenario.rpc_s),
        "timeline_step_s": scenario.timeline.step_s,
        "servers": [_server(server) for server in scenario.servers],
        "groups": [_group(group, scenario, library) for group in scenario.groups],
        "clairvoyant": [
            name for name, one in STRATEGIES.items() if getattr(one, "clairvoyant", False)
        ],
    }


def _server(server: ServerSettings) -> dict[str, Any]:
    return {
        "name": server.name,
        "workers": server.workers,
        "queue_length": server.queue_length,
        "slowdown": server.slowdown,
        "load": _load(server.load),
    }


def _group(group: GroupSettings, scenario: Scenario, library: Library) -> dict[str, Any]:
    bundle, board = library.bundle(group.bundle), library.board(group)
    slowed = board.slowed(group.agent.slowdown)
    only = scenario.servers[0].name if scenario.servers else None
    return {
        "name": group.name,
        "count": group.count,
        "model": bundle.manifest.name,
        "digest": bundle.digest,
        "segments": len(bundle.manifest.segments),
        "exits": [spec.name for spec in bundle.manifest.exits],
        "processor": board.machine.processor,
        "slowdown": slowed.slowdown,
        "whole_model_s": slowed.head[-1].median_s,
        "power": None if board.power is None else board.power.model_dump(),
        "server": group.server or only,
        "link": _way(group.link),
        "arrivals": None if group.arrivals is None else _given(group.arrivals),
        "deadline_s": group.agent.deadline_s,
        "objective": group.agent.objective.model_dump(exclude_defaults=True, mode="json"),
        "load": _load(group.load),
    }


def _way(way: WaySettings) -> str:
    if way.preset is not None:
        text = f"preset {way.preset}"
    elif way.file is not None:
        text = f"file {way.file.name}"
    elif way.trace is not None:
        down = f", down {way.down_trace.name}" if way.down_trace else ""
        text = f"trace {way.trace.name}{down}, {figure(1e3 * (way.delay_s or 0.0))} ms one way"
    else:
        text = _described(way)
    return f"{text}, each device {figure(way.offset_s)} s further on" if way.offset_s else text


def _described(way: WaySettings) -> str:
    link = way.link()
    if link.up is not None:
        return _chain(link.up)
    return "; ".join(f"{phase.name}: {_chain(phase.up)}" for phase in link.phases)


def _chain(conditions: Sequence[ConditionSettings]) -> str:
    return " + ".join(_given(one) for one in conditions) or "nothing in the way"


def _given(one: ConditionSettings | ArrivalSettings) -> str:
    """Name a condition or an arrival process, and what was said of it."""
    words = [one.kind]
    for key in sorted(one.model_fields_set - {"kind"}):
        value = getattr(one, key)
        if isinstance(value, Path):
            words.append(value.name)
        elif key == "bps":
            words.append(f"{figure(value / 1e6)} Mbit/s")
        elif isinstance(value, bool | int | float | str):
            words.append(f"{key} {figure(value)}" if isinstance(value, float) else f"{key} {value}")
        elif isinstance(value, tuple):
            words.append(f"{len(value)} {key}")
        elif value is not None:
            words.append(key)
    return " ".join(words)


def _load(course: LoadCourse) -> dict[str, Any]:
    steps = [[step.from_s, step.stretch] for step in course.steps]
    return {"steps": steps, "repeat_s": course.repeat_s}

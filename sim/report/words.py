"""The scenario in words: what was simulated, and what stands for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from offramp.report.metrics import show_seconds
from partitioner.power import Power
from sim.report.contenders import Contender

__all__ = ["describe_setup", "say_emulation"]

Facts = Mapping[str, Any]


def say_emulation(setup: Facts) -> str:
    """Say that nothing ran on a board, and how much slower than a profile the devices are."""
    alike: dict[tuple[float, str], list[str]] = {}
    for group in setup["groups"]:
        alike.setdefault((group["slowdown"], group["processor"]), []).append(group["name"])
    stand_ins = [
        f"{' and '.join(names)} stand for boards {slowdown:g} times slower than the {processor} "
        "that was profiled"
        if slowdown != 1
        else f"{' and '.join(names)} are as fast as the {processor} that was profiled"
        for (slowdown, processor), names in alike.items()
    ]
    return (
        "Simulated in virtual time; nothing ran on a board. Devices are emulated: "
        f"{'; '.join(stand_ins)}."
    )


def describe_setup(results: Facts, contenders: Sequence[Contender]) -> list[tuple[str, str]]:
    """Return what a reader must know of the runs: names of facts with their values."""
    setup, runs = results["scenario"], results["runs"]
    seeds = dict.fromkeys(str(run["seed"]) for run in runs)
    counts = sorted({run["total"]["requests"] for run in runs})
    return [
        ("scenario", f"{setup['name']}: {_length(setup)}"),
        *((f"devices: {group['name']}", _group(group)) for group in setup["groups"]),
        *((f"server: {server['name']}", _server(server)) for server in setup["servers"]),
        *([] if setup["servers"] else [("servers", "none")]),
        ("requests counted", f"{_range(counts)} a run, the same for each strategy"),
        ("strategies", ", ".join(one.name for one in contenders)),
        ("seeds", ", ".join(seeds)),
        ("a call to a server costs besides", _call(setup["rpc_s"])),
        ("offramp", ", ".join(dict.fromkeys(run["offramp"] for run in runs))),
        ("digest of scenario and files", results["digest"]),
    ]


def _length(setup: Facts) -> str:
    parts = []
    if setup["requests"] is not None:
        parts.append(f"{setup['requests']} requests for each device")
    if setup["duration_s"] is not None:
        parts.append(f"{setup['duration_s']:g} s")
    text = " or ".join(parts)
    return f"{text}, the first {setup['warm_up_s']:g} s left out" if setup["warm_up_s"] else text


def _group(group: Facts) -> str:
    count = len(group["exits"])
    exits = f"{count or 'no'} early exit{'' if count == 1 else 's'}"
    power = group["power"]
    parts = [
        f"{group['count']} on {group['link']}" if group["server"] else f"{group['count']} alone",
        "as fast as they can" if group["arrivals"] is None else f"requests {group['arrivals']}",
        f"{group['model']} ({group['segments']} segments, {exits}, bundle {group['digest'][:12]})",
        f"whole model {show_seconds(group['whole_model_s'])} on the device",
        f"deadline {show_seconds(group['deadline_s'])}",
        *_load(group["load"]),
        *_wishes(group["objective"]),
        Power.model_validate(power).describe() if power else "what the board draws is not known",
    ]
    return "; ".join(parts)


def _wishes(objective: Facts) -> list[str]:
    """Name what an objective asks for besides the deadline, limits one by one."""
    flat = {**objective, **{f"at most {key}": v for key, v in objective.get("limits", {}).items()}}
    return [f"{key} {value}" for key, value in flat.items() if key not in ("deadline_s", "limits")]


def _server(server: Facts) -> str:
    workers = f"{server['workers']} workers" if server["workers"] > 1 else "1 worker"
    slowed = server["slowdown"] != 1
    return "; ".join(
        [
            workers,
            f"queue of {server['queue_length']}",
            f"{server['slowdown']:g} times slower than profiled" if slowed else "as profiled",
            *_load(server["load"]),
        ]
    )


def _load(load: Facts) -> list[str]:
    if not load["steps"]:
        return []
    steps = ", ".join(f"{stretch:g} times from {from_s:g} s" for from_s, stretch in load["steps"])
    again = f", again every {load['repeat_s']:g} s" if load["repeat_s"] else ""
    return [f"stretched {steps} on{again}"]


def _call(rpc_s: Sequence[float]) -> str:
    if len(rpc_s) == 1:
        return show_seconds(rpc_s[0])
    return f"{show_seconds(rpc_s[0])} to {show_seconds(rpc_s[-1])}"


def _range(counts: Sequence[int]) -> str:
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"

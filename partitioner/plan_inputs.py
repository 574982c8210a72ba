"""What `offramp plan` is asked: the command line's options as a planner and a situation."""

from __future__ import annotations

from typing import Any

from offramp.bundle import Bundle
from offramp.calibration import load_calibration
from offramp.errors import ConfigError, PlanError
from offramp.exits.fitted import load_policy
from offramp.settings import load_settings
from partitioner.boards import find_power
from partitioner.candidates import build_candidates
from partitioner.conditions import Conditions
from partitioner.min_cut import sent_from
from partitioner.objective import Objective
from partitioner.planner import Planner
from partitioner.profile import Profile, load_profile, naming
from partitioner.remembered import recall
from partitioner.situation import Situation
from partitioner.strategies import Strategy
from partitioner.what_if_axes import get_axis

__all__ = [
    "check_options",
    "computes_on",
    "objective_of",
    "planner_of",
    "profile_of",
    "situation_of",
]


def check_options(options: dict[str, Any]) -> None:
    """Raise `ConfigError` if options are given that mean nothing together, or an unknown axis."""
    names = options["names"]
    if len(names) > 2 or (options["picture"] and len(names) != 2):
        raise ConfigError("--what-if takes one axis, or two for a map; --picture needs two")
    if len(names) != len(set(names)):
        raise ConfigError(f"--what-if {names[0]} is given twice; a map needs two different axes")
    for name in names:
        get_axis(name)
    if options["devices"] is None:
        if options["workers"] or options["shared_uplink"]:
            raise ConfigError("--workers and --shared-uplink are of a shared server; add --devices")
        return
    for name, given in (
        ("--what-if", names),
        ("--strategy", options["strategy"] != "offramp"),
        ("--hedge", options["hedge"]),
        ("--rate-hz", options["rate_hz"]),
        ("--minimise", options["minimise"]),
    ):
        if given:
            raise ConfigError(f"--devices mixes all plans for throughput; leave out {name}")


def profile_of(bundle: Bundle, options: dict[str, Any]) -> tuple[Profile, str]:
    """Return the device's profile, and what to say of it: nothing of one that was named.

    Without a name it is that which is remembered of this machine. Raises `PlanError` if none is.
    """
    path = options["device_profile"]
    if path is not None:
        profile = load_profile(path, bundle)
        with naming(path):
            profile.check_heads(bundle)
        return profile, ""
    remembered = recall(bundle, None, None)
    if remembered is None:
        raise PlanError(
            f"nothing is remembered of bundle {bundle.digest[:12]} on this machine as it is now; "
            "measure it with: offramp profile, or name a profile with --device-profile"
        )
    said = f"the device's profile is what this machine remembers, measured {remembered.measured}"
    return remembered, said


def planner_of(bundle: Bundle, profile: Profile, options: dict[str, Any]) -> Planner:
    """Return a planner for the device's profile and the server's, which is the same by default."""
    path = options["server_profile"]
    server = load_profile(path, bundle) if path else profile
    board = options["board"]
    device = profile.drawing(find_power(board)) if board else profile
    sent = sent_from(load_calibration(bundle), options["min_cut"])
    candidates = build_candidates(bundle, sent, load_policy(bundle))
    return Planner(bundle, candidates, device.slowed(options["slowdown"]), server)


def computes_on(
    strategy: Strategy, bundle: Bundle, objective: Objective, options: dict[str, Any]
) -> bool:
    """Tell whether the device computes on while an answer is under way, as one that runs would.

    Raises `ConfigError` if that is asked for where it cannot be.
    """
    manifest, wished = bundle.manifest, options["hedge"]
    holds_all = manifest.reach == len(manifest.segments)
    if wished and not strategy.hedges:
        raise ConfigError(
            f"strategy {strategy.name!r} never computes on while an answer is under way; leave out "
            "--hedge, or choose offramp"
        )
    if wished and not holds_all:
        raise ConfigError(
            f"a device that holds {manifest.reach} of {len(manifest.segments)} segments cannot "
            "compute on while an answer is under way; leave out --hedge"
        )
    if wished and objective.spares_memory:
        raise ConfigError(
            "the objective limits memory, and to compute on the device needs the whole model; "
            "leave out --hedge"
        )
    may = strategy.hedges and holds_all and not objective.spares_memory
    return wished is not False and may and not options["devices"]


def objective_of(options: dict[str, Any]) -> Objective:
    """Return the objective: a file's, and what options say instead."""
    deadline_ms = options["deadline_ms"]
    return load_settings(
        Objective,
        options["objective"],
        {
            "minimise": options["minimise"],
            "max_accuracy_drop": options["max_accuracy_drop"],
            "deadline_s": deadline_ms / 1e3 if deadline_ms is not None else None,
        },
    )


def situation_of(objective: Objective, options: dict[str, Any], *, hedged: bool) -> Situation:
    """Return the objective under the conditions that options tell."""
    conditions = Conditions(
        bandwidth_bps=options["bandwidth_mbps"] * 1e6,
        rtt_s=options["rtt_ms"] / 1e3,
        queue_s=options["queue_ms"] / 1e3,
        device_stretch=options["device_load"],
        server_stretch=options["server_load"],
        hedged=hedged,
        rate_hz=options["rate_hz"] or 0.0,
    )
    return Situation(objective, conditions)

"""Measuring what this board draws, at rest and while heads run, where it has a meter."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from offramp.bundle import Bundle
from offramp.errors import ConfigError
from offramp.network import Network
from partitioner.power import Power
from partitioner.power_meter import SYSFS, PowerMeter, Reading, find_meter, mean_w
from partitioner.profile import Profile

__all__ = ["measure_power", "power_here"]

_WATCHED_S = 4.0  # sensors read as seldom as once a second
_PAUSE_S = 0.1


def power_here(
    bundle: Bundle,
    profile: Profile,
    board: Power | None,
    report: Callable[[str], None],
    root: Path = SYSFS,
) -> Power | None:
    """Return what this machine draws, running the whole head as a profile's best runner.

    Where that cannot be measured, ``report`` is told why, and the figures of ``board`` are right.
    """
    try:
        meter = find_meter(root)
        report(f"measuring power with {meter.name}")
        return measure_power(meter, _head_call(bundle, profile), board)
    except ConfigError as error:
        given = f"those of {board.name} are taken" if board else "give some with --board"
        report(f"{error}; figures of its power: {given}")
        return board


def measure_power(
    meter: PowerMeter,
    run: Callable[[], object],
    board: Power | None = None,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Power:
    """Watch the meter at rest, and while ``run`` is called again and again; some seconds each.

    No meter sees what a radio takes of that: its figures are those of ``board``, 0 without one.
    """
    idle_w = _watch(meter, lambda: pause(_PAUSE_S), clock)
    run()  # what is put off until the first time is not meant
    busy_w = _watch(meter, run, clock)
    source = f"measured here: {meter.name}"
    if board:
        source += f"; radio of {board.name}: {board.source}"
    radio = board.model_dump(include={"radio_w", "radio_up_w", "radio_tail_s"}) if board else {}
    return Power(
        name=board.name if board else "this machine",
        source=source,
        idle_w=idle_w,
        compute_w=max(busy_w - idle_w, 0.0),
        **radio,
    )


def _watch(meter: PowerMeter, act: Callable[[], object], clock: Callable[[], float]) -> float:
    """Return the mean power over some seconds, read before and after every act."""
    readings = [Reading(clock(), meter.read())]
    while readings[-1].at_s - readings[0].at_s < _WATCHED_S:
        act()
        readings.append(Reading(clock(), meter.read()))
    return mean_w(meter, readings)


def _head_call(bundle: Bundle, profile: Profile) -> Callable[[], object]:
    """Return a call that runs all that a device holds of a bundle."""
    reach, runner = bundle.manifest.reach, profile.main
    network = Network(bundle, runner.backend, runner.threads, segments=range(0))
    network.fuse(bundle.manifest.stops(reach))
    return partial(network.run, 0, reach, [array[:1] for array in bundle.examples])

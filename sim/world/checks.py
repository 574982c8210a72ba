"""What a scenario names is looked at before its first run, however late a run would come to it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice, takewhile
from pathlib import Path

from offramp.errors import ConfigError, OfframpError
from partitioner.conditions import Conditions
from partitioner.offers import check_feasible
from sim.arrivals import Arrivals, build_arrivals
from sim.model import build_link
from sim.world.foresight import UNLIMITED_BPS
from sim.world.library import Library
from sim.world.requests import arrivals_seed
from sim.world.scenario import GroupSettings, Scenario, ServerSettings

__all__ = ["check_scenario"]


def check_scenario(path: Path, scenario: Scenario, seeds: Iterable[int], library: Library) -> None:
    """Raise what a run would raise for a bundle, profile, link, trace or recording that is wrong.

    The error names the file. `PlanError` is raised if no plan could meet an objective, even on a
    link that costs nothing, with what could be kept. `ConfigError` is raised, too, if all requests
    of a seed come before ``warm_up_s``; that is not known of devices whose requests wait for them.
    """
    for profile in (path for server in scenario.servers for path in server.profiles):
        library.profile(profile)
    for group in scenario.groups:
        server = scenario.server_of(group)
        with _naming(group.bundle):
            planner, _ = library.planner(group, server)
        best = "even on a link that costs nothing" if server else "without a server"
        with _naming(f"{path}: group {group.name!r}, {best}"):
            check_feasible(planner, group.agent.objective, _at_best(group, server))
        with _naming(group.link.file):
            build_link(group.link.link())
    given = [group.arrivals for group in scenario.groups]
    arrivals = [None if each is None else build_arrivals(each) for each in given]
    for seed in seeds:
        with _naming(path):
            _check_warm_up(scenario, seed, arrivals)


def _at_best(group: GroupSettings, server: ServerSettings | None) -> Conditions:
    """Return a link that costs nothing, and machines as quick as they get.

    What is missed here is always missed.
    """
    return Conditions(
        bandwidth_bps=UNLIMITED_BPS,
        rtt_s=0.0,
        device_stretch=group.load.least_stretch,
        server_stretch=server.load.least_stretch if server else 1.0,
        reachable=server is not None,
    )


@contextmanager
def _naming(path: Path | str | None) -> Iterator[None]:
    """Let errors within name a file or group, if there is one and they do not."""
    try:
        yield
    except OfframpError as error:
        if path is None or str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from None


def _check_warm_up(scenario: Scenario, seed: int, arrivals: Iterable[Arrivals | None]) -> None:
    last_s = 0.0
    for group, process in zip(scenario.groups, arrivals, strict=True):
        if process is None or scenario.warm_up_s == 0:
            return
        for number in range(group.count):
            device_s = _last_s(process, scenario, arrivals_seed(seed, f"{group.name}/{number}"))
            if device_s >= scenario.warm_up_s:
                return
            last_s = max(last_s, device_s)
    raise ConfigError(
        f"warm_up_s {scenario.warm_up_s:g} leaves no request to count: with seed {seed} the last "
        f"one comes after {last_s:.3g} s; make it shorter, or the run longer"
    )


def _last_s(process: Arrivals, scenario: Scenario, seed: str) -> float:
    """Return when a device's last request comes, or the first that counts."""
    until_s = math.inf if scenario.duration_s is None else scenario.duration_s
    coming_s = takewhile(lambda time_s: time_s <= until_s, process.times_s(seed))
    last_s = 0.0
    for last_s in islice(coming_s, scenario.requests):
        if last_s >= scenario.warm_up_s:
            break
    return last_s

"""Building a world: the devices, links and servers of a scenario under one strategy and seed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count, islice, pairwise, takewhile
from random import Random

from device.settings import AgentSettings
from device.work import Finish
from offramp.address import Address
from partitioner import strategies
from partitioner.planner import Planner
from sim.arrivals import Arrivals, build_arrivals
from sim.description import LinkSettings
from sim.model import Link, build_link
from sim.world.clairvoyant import Truth, make_controller
from sim.world.clock import Clock
from sim.world.connection import ANSWER_OVERHEAD_BYTES, Connection
from sim.world.course import LoadCourse
from sim.world.device import Parts, VirtualDevice
from sim.world.foresight import Foresight, Way
from sim.world.library import Library
from sim.world.link import VirtualLink
from sim.world.processor import Held, Processor
from sim.world.readiness import Readiness
from sim.world.requests import Requests, arrivals_seed
from sim.world.scenario import GroupSettings, Scenario, ServerSettings
from sim.world.server import Capacity, VirtualServer
from sim.world.spread import Draws
from sim.world.tail import Tail
from sim.world.tally import Tally
from sim.world.timeline import Timeline

__all__ = ["Watch", "World", "build_world", "link_seed"]

Watch = Callable[[str, float, Finish, Held], None]
"""Told of every request that ends: its device's name, when, how and what was held of it."""

_FOR_RATE = 1000
_LEAST_RATE_HZ = 1e-6
_MOST_ARRIVALS = 1_000_000
_FORESEEN = 400


@dataclass
class World:
    """All that there is at time 0."""

    clock: Clock
    servers: dict[str, VirtualServer]
    tallies: dict[str, Tally] = field(default_factory=dict)
    devices: list[VirtualDevice] = field(default_factory=list)
    timelines: list[Timeline] = field(default_factory=list)


@dataclass(frozen=True)
class _Run:
    """What the building of every device needs to know."""

    scenario: Scenario
    strategy: str
    seed: int
    library: Library
    watch: Watch | None


@dataclass(frozen=True)
class _Kind:
    """What the devices of one group share."""

    group: GroupSettings
    settings: AgentSettings
    planner: Planner
    processor: Processor
    arrivals: Arrivals | None
    tally: Tally
    server: VirtualServer | None
    way: LinkSettings


def build_world(
    scenario: Scenario,
    strategy: str,
    seed: int,
    library: Library,
    watch: Watch | None = None,
) -> World:
    """Return the world of a scenario, whose devices wait to be started.

    Raises `ConfigError` or `PlanError` where bundles, profiles, links or the strategy are wrong.
    """
    run = _Run(scenario, strategy, seed, library, watch)
    clock = Clock()
    servers = {one.name: _server(clock, one, run) for one in scenario.servers}
    world = World(clock, servers)
    for group in scenario.groups:
        _add_group(world, group, run)
    return world


def _server(clock: Clock, server: ServerSettings, run: _Run) -> VirtualServer:
    groups = (group for group in run.scenario.groups if run.scenario.server_of(group) == server)
    tails = {}
    for group in groups:
        profile = run.library.tail_profile(server, group)
        tails[profile.digest] = Tail(profile, server.batch_fixed_share)
    capacity = Capacity(server.workers, server.queue_length, server.max_wait_s, server.load)
    return VirtualServer(clock, tails, capacity)


def _add_group(world: World, group: GroupSettings, run: _Run) -> None:
    server = run.scenario.server_of(group)
    tally = world.tallies[group.name] = Tally()
    planner, processor = run.library.planner(group, server)
    arrivals = build_arrivals(group.arrivals) if group.arrivals else None
    kind = _Kind(
        group,
        group.agent.model_copy(
            update={
                "server": Address(server.name, 1) if server else None,
                "rate_hz": None if arrivals is None else _rate_hz(arrivals),
                "strategy": run.strategy,
            }
        ),
        planner,
        processor,
        arrivals,
        tally,
        world.servers[server.name] if server else None,
        group.link.link(),
    )
    for number in range(group.count):
        _add_device(world, kind, number, run)


def _add_device(world: World, kind: _Kind, number: int, run: _Run) -> None:
    name, settings, timeline = f"{kind.group.name}/{number}", kind.settings, None
    if number < run.scenario.timeline.devices:
        timeline = Timeline(world.clock, run.scenario.timeline.step_s)
    strategy, model = strategies.get(run.strategy, simulated=True), _link(kind, number, run)
    connection = None if kind.server is None else _connection(world.clock, kind, number, run, model)
    truth = partial(_truth, kind, number, run, model, connection)
    controller = make_controller(kind.planner, settings.objective, strategy, settings.tuning, truth)
    parts = Parts(
        name,
        settings,
        controller,
        kind.processor,
        kind.group.load,
        kind.tally,
        _watch(run.watch, name, timeline),
        run.scenario.handover_s,
        Readiness(kind.processor.slow_levels, run.scenario.load_s) if run.scenario.load_s else None,
    )
    requests = _requests(kind.arrivals, run.library.samples(kind.group), run, name)
    device = VirtualDevice(world.clock, parts, requests, connection)
    world.devices.append(device)
    if timeline is not None:
        timeline.follow(device, None if connection is None else connection.link)
        world.timelines.append(timeline)


def _link(kind: _Kind, number: int, run: _Run) -> Link:
    seed = link_seed(run.seed, f"{kind.group.name}/{number}", kind.way)
    return build_link(kind.way.model_copy(update={"seed": seed}))


def _connection(clock: Clock, kind: _Kind, number: int, run: _Run, model: Link) -> Connection:
    assert kind.server is not None
    return Connection(
        clock,
        VirtualLink(model, number * kind.group.link.offset_s),
        kind.server,
        answer_bytes=kind.planner.bundle.manifest.boundaries[-1].nbytes,
        rpc_s=Draws(run.scenario.rpc_s, f"{run.seed}/{kind.group.name}/{number}/rpc"),
    )


def _truth(
    kind: _Kind, number: int, run: _Run, model: Link, connection: Connection | None
) -> Truth:
    """Return what the device is in for; without a server that is its own load."""
    way, server = None, run.scenario.server_of(kind.group)
    if connection is not None:
        way = Way(
            model,
            offset_s=number * kind.group.link.offset_s,
            answer_bytes=kind.planner.bundle.manifest.boundaries[-1].nbytes + ANSWER_OVERHEAD_BYTES,
            rpc_s=_mean_s(run.scenario.rpc_s),
            is_up=connection.is_up,
        )
    server_load = LoadCourse() if server is None else server.load
    foresight = Foresight(way, kind.server, server_load)
    return Truth(foresight, kind.group.load, _some_arrivals_s(kind, number, run))


def _some_arrivals_s(kind: _Kind, number: int, run: _Run) -> list[float]:
    """Return when some of a device's requests come, evenly chosen.

    Where each comes when the device is ready for it, as if that took it the whole model every time.
    """
    requests = _requests(kind.arrivals, 1, run, f"{kind.group.name}/{number}")
    whole_s = max(kind.planner.device.head[-1].median_s, 1e-4)
    times_s = count(0.0, whole_s) if requests.times_s is None else requests.times_s
    within = takewhile(lambda time_s: time_s <= requests.until_s, times_s)
    most = _MOST_ARRIVALS if requests.count == math.inf else int(requests.count)
    found = list(islice(within, most))
    return found[:: -(-len(found) // _FORESEEN)] if found else [0.0]


def _requests(arrivals: Arrivals | None, samples: int, run: _Run, name: str) -> Requests:
    scenario, seed = run.scenario, f"{run.seed}/{name}"
    return Requests(
        None if arrivals is None else arrivals.times_s(arrivals_seed(run.seed, name)),
        samples,
        Random(f"{seed}/samples"),
        count=math.inf if scenario.requests is None else scenario.requests,
        until_s=math.inf if scenario.duration_s is None else scenario.duration_s,
        counted_from_s=scenario.warm_up_s,
    )


def _watch(
    watch: Watch | None, name: str, timeline: Timeline | None
) -> Callable[[float, Finish, Held], None] | None:
    if watch is None and timeline is None:
        return None

    def tell(now_s: float, finish: Finish, held: Held) -> None:
        if timeline is not None:
            timeline.note(now_s, finish)
        if watch is not None:
            watch(name, now_s, finish, held)

    return tell


def _rate_hz(arrivals: Arrivals) -> float:
    """Return the mean rate of the first requests, which is what a device would be told."""
    times_s = list(islice(arrivals.times_s("rate"), _FOR_RATE))
    if len(times_s) < 2:
        return _LEAST_RATE_HZ
    rate_hz = (len(times_s) - 1) / max(times_s[-1] - times_s[0], 1e-9)
    return min(max(rate_hz, _LEAST_RATE_HZ), 86_400.0)


def link_seed(seed: int, device: str, way: LinkSettings) -> int:
    """Return the seed of what is random in a device's link in the run with a seed."""
    text = f"{seed}/{device}/link/{way.seed}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])


def _mean_s(quantiles_s: Sequence[float]) -> float:
    """Return the mean of a spread, linear between its quantiles."""
    if len(quantiles_s) == 1:
        return quantiles_s[0]
    middles = [(low + high) / 2 for low, high in pairwise(quantiles_s)]
    return sum(middles) / len(middles)

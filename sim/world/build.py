"""Building a world: the devices, links and servers of a scenario under one strategy and seed."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random

from device.heed import draw_heed
from device.work import Finish
from edge_server.scheduling.sample import Room
from edge_server.security.clients import Client
from partitioner import strategies
from sim.model import Link
from sim.world.clairvoyant import make_controller
from sim.world.clock import Clock
from sim.world.connection import Connection
from sim.world.device import Parts, VirtualDevice
from sim.world.kind import Kind, Run, build_kind
from sim.world.library import Library
from sim.world.link import VirtualLink
from sim.world.processor import Held
from sim.world.readiness import Readiness
from sim.world.scenario import Scenario, ServerSettings
from sim.world.server import Capacity, VirtualServer
from sim.world.spread import Draws
from sim.world.tail import Tail
from sim.world.tally import Tally
from sim.world.timeline import Timeline
from sim.world.truth import Truth, find_truth

__all__ = ["Watch", "World", "build_world"]

Watch = Callable[[str, float, Finish, Held], None]
"""Told of every request that ends: its device's name, when, how and what was held of it."""

Tell = Callable[[float, Finish, Held], None]
"""The same for one device."""


@dataclass
class World:
    """All that there is at time 0."""

    clock: Clock
    servers: dict[str, VirtualServer]
    tallies: dict[str, Tally] = field(default_factory=dict)
    devices: list[VirtualDevice] = field(default_factory=list)
    timelines: list[Timeline] = field(default_factory=list)

    def run(self) -> None:
        """Let everything happen, from the start of the devices on.

        All there is lives as long as the run: it is kept from what looks for garbage meanwhile.
        """
        gc.collect()
        gc.freeze()
        try:
            for device in self.devices:
                device.start()
            self.clock.run()
        finally:
            gc.unfreeze()


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
    run = Run(scenario, strategy, seed, library)
    clock = Clock()
    servers = {one.name: _server(clock, one, run) for one in scenario.servers}
    world = World(clock, servers)
    for group in scenario.groups:
        kind = build_kind(group, run)
        world.tallies[group.name] = Tally()
        for number in range(group.count):
            _add_device(world, kind, number, watch)
    return world


def _server(clock: Clock, server: ServerSettings, run: Run) -> VirtualServer:
    groups = (group for group in run.scenario.groups if run.scenario.server_of(group) == server)
    tails = {}
    for group in groups:
        profile = run.library.tail_profile(server, group)
        tails[profile.digest] = Tail(profile, server.batch_fixed_share)
    room = Room(server.workers, server.queue_length)
    capacity = Capacity(room, server.max_wait_s, server.load)
    return VirtualServer(clock, tails, capacity, run.scenario.warm_up_s)


def _add_device(world: World, kind: Kind, number: int, watch: Watch | None) -> None:
    run, name, timeline = kind.run, kind.name(number), None
    if number < run.scenario.timeline.devices:
        timeline = Timeline(world.clock, run.scenario.timeline.step_s)
    link = kind.link(number)
    server = None if kind.server is None else world.servers[kind.server.name]
    connection = None if server is None else _connection(world.clock, kind, number, link, server)
    at = len(world.devices)
    truth = partial(find_truth, kind, number, link, server, connection, lambda: world.devices[at])
    tell = _watch(watch, name, timeline)
    parts = _parts(kind, name, world.tallies[kind.group.name], truth, tell)
    requests = kind.requests(number, run.library.samples(kind.group))
    device = VirtualDevice(world.clock, parts, requests, connection)
    world.devices.append(device)
    if timeline is not None:
        timeline.follow(device, None if connection is None else connection.link)
        world.timelines.append(timeline)


def _connection(
    clock: Clock, kind: Kind, number: int, link: Link, server: VirtualServer
) -> Connection:
    run = kind.run
    return Connection(
        clock,
        VirtualLink(link, kind.ahead_s(number)),
        server,
        client=Client(kind.name(number)),
        answer_bytes=kind.answer_bytes,
        rpc_s=Draws(run.scenario.rpc_s, f"{run.seed}/{kind.name(number)}/rpc"),
    )


def _parts(
    kind: Kind, name: str, tally: Tally, truth: Callable[[], Truth], tell: Tell | None
) -> Parts:
    scenario, settings, processor = kind.run.scenario, kind.settings, kind.processor
    strategy = strategies.get(kind.run.strategy, simulated=True)
    controller = make_controller(kind.planner, settings.objective, strategy, settings.tuning, truth)
    dice = Random(f"{kind.run.seed}/{name}/heed")
    controller.heed = draw_heed(settings.tuning.heed_spread, dice)
    return Parts(
        name,
        settings,
        controller,
        processor,
        kind.group.load,
        tally,
        tell,
        scenario.handover_s,
        Readiness(processor.slow_levels, scenario.load_s) if scenario.load_s else None,
    )


def _watch(watch: Watch | None, name: str, timeline: Timeline | None) -> Tell | None:
    if watch is None and timeline is None:
        return None

    def tell(now_s: float, finish: Finish, held: Held) -> None:
        if timeline is not None:
            timeline.note(now_s, finish)
        if watch is not None:
            watch(name, now_s, finish, held)

    return tell

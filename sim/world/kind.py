"""Kinds: what the devices of one group share, and the link that each of them has."""

from __future__ import annotations

from dataclasses import dataclass

from device.settings import AgentSettings
from offramp.address import Address
from partitioner.planner import Planner
from sim.arrivals import Arrivals, build_arrivals
from sim.description import LinkSettings
from sim.model import Link, build_link
from sim.world.library import Library
from sim.world.processor import Processor
from sim.world.requests import Requests, build_requests
from sim.world.scenario import GroupSettings, Scenario, ServerSettings
from sim.world.way import link_seed

__all__ = ["Kind", "Run", "build_kind"]


@dataclass(frozen=True)
class Run:
    """A scenario under one strategy and seed."""

    scenario: Scenario
    strategy: str
    seed: int
    library: Library


@dataclass(frozen=True)
class Kind:
    """The devices of one group, known by their numbers; the ``server`` is that of the scenario."""

    run: Run
    group: GroupSettings
    server: ServerSettings | None
    settings: AgentSettings
    planner: Planner
    processor: Processor
    arrivals: Arrivals | None
    way: LinkSettings

    def name(self, number: int) -> str:
        """Return the name of a device."""
        return f"{self.group.name}/{number}"

    def ahead_s(self, number: int) -> float:
        """Return how far ahead a device is in its link's course."""
        return number * self.group.link.offset_s

    def link(self, number: int) -> Link:
        """Return the link of a device."""
        seed = link_seed(self.run.seed, self.name(number), self.way)
        return build_link(self.way.model_copy(update={"seed": seed}))

    def requests(self, number: int, samples: int) -> Requests:
        """Return the requests of a device, each one of so many samples."""
        run = self.run
        name = self.name(number)
        return build_requests(run.scenario, self.arrivals, samples, run.seed, name)

    @property
    def answer_bytes(self) -> int:
        """The outputs' size."""
        return self.planner.bundle.manifest.boundaries[-1].nbytes


def build_kind(group: GroupSettings, run: Run) -> Kind:
    """Return what the devices of a group share.

    Raises `ConfigError` or `PlanError` where its bundle, profile or link is wrong.
    """
    server = run.scenario.server_of(group)
    planner, processor = run.library.planner(group, server)
    arrivals = build_arrivals(group.arrivals) if group.arrivals else None
    told = {
        "server": (Address(server.name, 1),) if server else (),
        "rate_hz": None if arrivals is None else arrivals.mean_rate_hz,
        "strategy": run.strategy,
    }
    settings = group.agent.model_copy(update=told)
    way = group.link.link()
    return Kind(run, group, server, settings, planner, processor, arrivals, way)

"""Scenarios: which devices, links and servers there are, as a YAML file says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, field_validator, model_validator

from device.settings import AgentSettings
from offramp.names import check_name
from offramp.settings import Settings, load_settings
from sim.arrivals import AnyArrivalSettings
from sim.beside import FileBeside
from sim.world.course import LoadCourse
from sim.world.spread import Spread
from sim.world.way import WaySettings

__all__ = ["GroupSettings", "Scenario", "ServerSettings", "TimelineSettings", "read_scenario"]


Name = Annotated[str, AfterValidator(check_name)]
Count = Annotated[int, Field(ge=1, le=65_536)]
Seconds = Annotated[float, Field(gt=0, le=1e7)]

_NOT_HERE = {
    "server": "the group's server says it",
    "strategy": "--strategy says it",
    "rate_hz": "the group's arrivals say it",
    "model": "the group's bundle says it",
    "security": "nobody listens in on a simulated link",
}


class ServerSettings(Settings):
    """A server that any number of devices share.

    It holds the bundles that its ``profiles`` were measured with; of another one it takes as long
    as the device's profile says, not slowed: as `offramp run` believes without --server-profile.
    ``slowdown`` is part of what devices know of it, ``load`` is not. A step over b samples takes
    ``batch_fixed_share + (1 - batch_fixed_share) * b`` times as long as over one.
    """

    name: Name = "edge"
    profiles: tuple[FileBeside, ...] = ()
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    queue_length: Count = 256
    max_wait_s: Seconds = 10.0
    slowdown: Annotated[float, Field(gt=0, le=1000)] = 1.0
    batch_fixed_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    load: LoadCourse = LoadCourse()


class GroupSettings(Settings):
    """Devices that differ in what is random alone, and in where their links begin.

    Without a ``bundle`` it is the embedded one; without a ``profile`` what `offramp profile`
    remembers of it on this machine. ``server`` names one of the scenario's, by default its only
    one. Without ``arrivals`` the next sample comes when the device is ready for it. ``agent`` has
    the settings of `offramp run`: its ``slowdown`` makes the profile a slower board's.
    """

    name: Name = "devices"
    count: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    bundle: FileBeside | None = None
    profile: FileBeside | None = None
    server: Name | None = None
    link: WaySettings
    arrivals: AnyArrivalSettings | None = None
    agent: AgentSettings = AgentSettings()
    load: LoadCourse = LoadCourse()

    @field_validator("agent", mode="before")
    @classmethod
    def _leaves_out_what_others_say(cls, values: Any) -> Any:
        for key, where in _NOT_HERE.items():
            if isinstance(values, dict) and values.get(key) is not None:
                raise ValueError(f"{key} does not belong into agent: {where}")
        return values

    @field_validator("agent")
    @classmethod
    def _keeps_its_thresholds(cls, agent: AgentSettings) -> AgentSettings:
        if agent.adaptive_thresholds:
            raise ValueError("adaptive_thresholds cannot be simulated; leave them out")
        return agent


class TimelineSettings(Settings):
    """Of how many devices of each group the course is kept, in steps of ``step_s``."""

    devices: Annotated[int, Field(ge=0, le=100)] = 1
    step_s: Seconds = 1.0


class Scenario(Settings):
    """A world and how long it is watched.

    Each device's requests end after ``requests`` or ``duration_s``, whichever comes first; those
    that arrive before ``warm_up_s`` are left out of the figures. ``rpc_s`` is what a message and
    its answer cost besides engine and link: 1.2 ms in gRPC and 2.3 ms in hand-overs between
    threads were measured by `python -m benchmarks.overhead`. ``handover_s`` is what a sample takes
    on the device besides computing; `python -m benchmarks.validation` measures both. ``load_s`` is
    what a device takes to load what codec levels with compiled loops need, when it first wants one.
    """

    members: ClassVar[Mapping[str, str]] = {"groups": "group", "servers": "server"}

    name: Name = "scenario"
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = 0
    requests: Annotated[int, Field(ge=1)] | None = None
    duration_s: Seconds | None = None
    warm_up_s: Annotated[float, Field(ge=0)] = 0.0
    rpc_s: Spread = (0.0035,)
    handover_s: Annotated[float, Field(ge=0, le=1)] = 0.0
    load_s: Annotated[float, Field(ge=0, le=60)] = 0.0
    servers: tuple[ServerSettings, ...] = (ServerSettings(),)
    groups: Annotated[tuple[GroupSettings, ...], Field(min_length=1)]
    timeline: TimelineSettings = TimelineSettings()

    @model_validator(mode="after")
    def _ends(self) -> Scenario:
        if self.requests is None and self.duration_s is None:
            raise ValueError("a scenario needs requests or duration_s, or it would not end")
        if self.duration_s is not None and self.warm_up_s >= self.duration_s:
            raise ValueError(
                f"warm_up_s {self.warm_up_s:g} leaves nothing of duration_s {self.duration_s:g} to "
                "count; make it shorter"
            )
        return self

    @model_validator(mode="after")
    def _names_are_clear(self) -> Scenario:
        servers = [server.name for server in self.servers]
        for kind, names in (("server", servers), ("group", [g.name for g in self.groups])):
            for name, count in Counter(names).items():
                if count > 1:
                    raise ValueError(f"{count} {kind}s are named {name!r}; give each its own name")
        for group in self.groups:
            if group.server is None and len(servers) > 1:
                raise ValueError(
                    f"group {group.name!r} needs a server, one of {', '.join(servers)}"
                )
            if group.server is not None and group.server not in servers:
                raise ValueError(
                    f"group {group.name!r} names the server {group.server!r}; there are "
                    f"{', '.join(servers) or 'none'}"
                )
        return self

    def server_of(self, group: GroupSettings) -> ServerSettings | None:
        """Return the server of a group, None if there is none."""
        servers = {server.name: server for server in self.servers}
        return servers[group.server] if group.server else next(iter(self.servers), None)


def read_scenario(path: Path) -> Scenario:
    """Return the scenario of a YAML file; paths in it count from its folder."""
    return load_settings(Scenario, path)

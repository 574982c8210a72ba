"""Scenarios run live: a server, and for each device a link shaper and an agent, all processes.

They run the very scenario that `offramp simulate` takes: its links with their seeds, its arrivals,
settings and profiles, and for each device the samples that its simulated twin drew.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from offramp.demo.processes import Child, offramp_command
from offramp.demo.settings import default_bundle
from offramp.embedded import cluttered_digits
from offramp.errors import ConfigError, OfframpError
from offramp.report.runs import Run, read_run
from sim.arrivals.periodic import PeriodicSettings
from sim.world.scenario import GroupSettings, Scenario, ServerSettings
from sim.world.way import link_seed

__all__ = ["LiveRun", "Samples"]

Samples = Mapping[str, Sequence[int]]
"""The calibration samples that each device is to see, in order."""

_START_LIMIT_S = 60.0
_SPARE_S = 60.0
_POLL_S = 0.05


@dataclass(frozen=True)
class LiveRun:
    """One live run of a scenario under a strategy; its files go to ``folder``.

    ``seed`` is that of the simulated run beside it.
    """

    scenario: Scenario
    strategy: str
    seed: int
    folder: Path

    def run(self, samples: Samples) -> dict[str, Run]:
        """Return what each device wrote; raise `OfframpError` if a process fails.

        Raises `ConfigError` for what a live run cannot be: groups of several devices, a slowed
        server, arrivals that are not periodic.
        """
        self._check()
        self.folder.mkdir(parents=True, exist_ok=True)
        devices = {f"{group.name}/0": group for group in self.scenario.groups}
        for name in devices:
            _write_samples(self._file(name, ".npz"), samples[name])
        (server,) = self.scenario.servers
        with ExitStack() as stack:
            started = stack.enter_context(self._child("server", self._serve(server)))
            upstream = started.address(_START_LIMIT_S)
            commands = {}
            for name, group in devices.items():
                shape = self._shape(name, group, upstream)
                link = stack.enter_context(self._child(f"{name}-link", shape))
                commands[name] = self._agent(name, group, link.address(_START_LIMIT_S))
            agents = [
                stack.enter_context(self._child(name, words)) for name, words in commands.items()
            ]
            self._wait(agents)
        return {name: read_run(self._file(name, ".jsonl")) for name in devices}

    def _check(self) -> None:
        if len(self.scenario.servers) != 1:
            raise ConfigError("a live run has one server: give the scenario one")
        (server,) = self.scenario.servers
        if server.slowdown != 1 or server.load.steps or server.profiles:
            raise ConfigError(f"server {server.name!r}: live it is this machine as it is")
        for group in self.scenario.groups:
            _rate_hz(group)
            if group.count != 1:
                raise ConfigError(f"group {group.name!r}: a live group is one device")

    def _wait(self, agents: Sequence[Child]) -> None:
        spans_s = (_rate_hz(group) for group in self.scenario.groups)
        requests = self.scenario.requests or 0
        limit_s = max(requests / rate_hz for rate_hz in spans_s) + _START_LIMIT_S + _SPARE_S
        until_s = time.monotonic() + limit_s
        while [agent for agent in agents if not agent.ended()]:
            if time.monotonic() >= until_s:
                raise OfframpError(f"the devices did not end within {limit_s:.0f} s")
            time.sleep(_POLL_S)

    def _serve(self, server: ServerSettings) -> list[str]:
        settings = {"queue_length": server.queue_length, "max_wait_s": server.max_wait_s}
        path = self._write("server.yaml", settings)
        return offramp_command(
            *("serve", default_bundle(), "--listen", "127.0.0.1:0"),
            *("--workers", server.workers, "--settings", path, "--log-level", "error"),
        )

    def _shape(self, name: str, group: GroupSettings, upstream: str) -> list[str]:
        way = group.link.link()
        link = way.model_dump(mode="json", exclude_none=True)
        for absent in ("repeat", "phases") if way.up is not None else ():
            del link[absent]
        path = self._write(f"{name}-link.yaml", link)
        seed = link_seed(self.seed, name, way)
        return offramp_command(
            *("shape", "--listen", "127.0.0.1:0", "--upstream", upstream),
            *("--link", path, "--seed", seed),
        )

    def _agent(self, name: str, group: GroupSettings, server: str) -> list[str]:
        settings = group.agent.model_dump(mode="json", exclude_defaults=True)
        settings |= {"rate_hz": _rate_hz(group), "strategy": self.strategy, "server": server}
        return offramp_command(
            *("run", default_bundle(), "--source", self._file(name, ".npz")),
            *("--profile", group.profile, "--settings", self._write(f"{name}.yaml", settings)),
            *("--require-server", "--out", self._file(name, ".jsonl"), "--quiet"),
        )

    def _child(self, name: str, command: Sequence[str]) -> Child:
        return Child(_plain(name), command, self.folder)

    def _file(self, name: str, ending: str) -> Path:
        return self.folder / f"{_plain(name)}{ending}"

    def _write(self, name: str, content: object) -> Path:
        path = self.folder / _plain(name)
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path


def _rate_hz(group: GroupSettings) -> float:
    arrivals = group.arrivals
    if not isinstance(arrivals, PeriodicSettings) or arrivals.phase != 0 or arrivals.jitter:
        raise ConfigError(f"group {group.name!r}: live arrivals are periodic, with a phase of 0")
    return arrivals.rate_hz


def _write_samples(path: Path, numbers: Sequence[int]) -> None:
    drawn = {number: cluttered_digits.draw("calibration", number) for number in set(numbers)}
    inputs, labels = zip(*(drawn[number] for number in numbers), strict=True)
    np.savez(path, inputs=np.array(inputs, np.uint8), labels=np.array(labels, np.int64))


def _plain(name: str) -> str:
    return name.replace("/", "-").replace(" ", "-")

"""Steps: one run of the real device agent through a link of its own to the server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from offramp.demo.live import Tail
from offramp.demo.processes import Child, offramp_command
from offramp.demo.schedule import Phase, build_schedule, to_line, to_link
from offramp.demo.settings import DemoSettings
from offramp.errors import OfframpError

__all__ = ["Job", "measure_profile", "run_job"]

_START_LIMIT_S = 30.0
_PROFILE_LIMIT_S = 240.0
_SPARE_S = 60.0
_POLL_S = 0.05


@dataclass(frozen=True)
class Job:
    """A run of the agent: its name, its strategy, and how many of which samples it streams."""

    name: str
    strategy: str
    source: Path
    count: int

    def phases(self, settings: DemoSettings) -> tuple[Phase, ...]:
        """Return the link's schedule, stretched over the time in which samples arrive."""
        return build_schedule(self.count / settings.rate_hz)


def measure_profile(settings: DemoSettings) -> None:
    """Measure what the bundle costs on this machine, once for all runs."""
    command = offramp_command(
        "profile",
        settings.bundle,
        "--rounds",
        settings.profile_rounds,
        "-o",
        settings.profile_file,
    )
    with Child("profile", command, settings.logs) as child:
        child.wait(_PROFILE_LIMIT_S)


def run_job(
    settings: DemoSettings, job: Job, server: Child, hear: Callable[[dict[str, Any]], None]
) -> Path:
    """Run one job to its end and return its run file; ``hear`` gets every line as it is written.

    The link is a process of its own, so that its schedule begins with the job.
    """
    phases = job.phases(settings)
    link_file = settings.out / f"link-{job.name}.yaml"
    link_file.write_text(yaml.safe_dump(to_link(phases, settings.seed), sort_keys=False))
    run_file = settings.out / f"{job.name}.jsonl"
    shape = offramp_command(
        "shape",
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        server.address(_START_LIMIT_S),
        "--link",
        link_file,
    )
    with Child(f"link-{job.name}", shape, settings.logs) as link:
        command = _agent_command(settings, job, link.address(_START_LIMIT_S), run_file)
        with Child(f"agent-{job.name}", command, settings.logs) as agent:
            _follow(agent, (link, server), Tail(run_file), hear, phases)
    with run_file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(to_line(phases)) + "\n")
    return run_file


def _follow(
    agent: Child,
    beside: tuple[Child, ...],
    tail: Tail,
    hear: Callable[[dict[str, Any]], None],
    phases: tuple[Phase, ...],
) -> None:
    """Pass the agent's lines on until it ends well, while those beside it must go on."""
    limit_s = phases[-1].start_s + phases[-1].seconds + _SPARE_S
    until_s = time.monotonic() + limit_s
    ended = False
    while not ended:
        ended = agent.ended()  # before reading, so that the last lines are read too
        for other in beside:
            other.check()
        for line in tail.read():
            hear(line)
        if time.monotonic() >= until_s:
            raise OfframpError(f"{agent.name} did not end within {limit_s:.0f} s")
        if not ended:
            time.sleep(_POLL_S)


def _agent_command(settings: DemoSettings, job: Job, server: str, out: Path) -> list[str]:
    slowdown = () if settings.slowdown is None else ("--slowdown", settings.slowdown)
    return offramp_command(
        "run",
        settings.bundle,
        *("--source", job.source),
        *("--server", server),
        "--require-server",
        *("--strategy", job.strategy),
        *("--rate", settings.rate_hz),
        *("--deadline-ms", settings.deadline_s * 1e3),
        *("--profile", settings.profile_file),
        *slowdown,
        *("--out", out),
        "--quiet",
    )

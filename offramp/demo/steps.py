"""Steps: one run of the real device agent through a link of its own to the server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from offramp.bundle import open_bundle
from offramp.demo.live import Tail
from offramp.demo.processes import Child, offramp_command
from offramp.demo.schedule import Phase, build_schedule, to_line, to_link
from offramp.demo.settings import DemoSettings
from offramp.errors import OfframpError
from offramp.files import read_file, write_file

__all__ = ["Job", "measure_profile", "run_job"]

_START_LIMIT_S = 30.0
_PROFILE_LIMIT_S = 240.0
_SPARE_S = 60.0
_POLL_S = 0.05

Hear = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Job:
    """A run of the agent: its name, its strategy, and how many of which samples it streams."""

    name: str
    strategy: str
    source: Path
    count: int


@dataclass(frozen=True)
class _Processes:
    """The three that a run is made of."""

    agent: Child
    link: Child
    server: Child

    def have_ended(self) -> bool:
        """Return whether the agent has ended well, while the others must go on."""
        self.link.check()
        self.server.check()
        return self.agent.ended()


def measure_profile(settings: DemoSettings) -> None:
    """Measure what the bundle costs on this machine, once for all runs."""
    head = open_bundle(settings.bundle).manifest.head_backend
    command = offramp_command(
        *("profile", settings.bundle),
        *("--backend", "onnxruntime", "--threads", 1),
        *(("--backend", head) if head else ()),
        *("--rounds", settings.profile_rounds),
        *("-o", settings.profile_file),
    )
    with Child("profile", command, settings.logs) as child:
        child.wait(_PROFILE_LIMIT_S)


def run_job(settings: DemoSettings, job: Job, hear: Hear) -> Path:
    """Run one job to its end and return its run file; ``hear`` gets every line as it is written.

    Server and link are started for this job, so that the link's schedule begins with it and
    nothing is left of an earlier job's load. A line of kind ``phases`` ends the run file.
    """
    phases = build_schedule(job.count / settings.rate_hz)
    link_file = settings.out / f"link-{job.name}.yaml"
    described = yaml.safe_dump(to_link(phases, settings.seed), sort_keys=False)
    write_file(link_file, described.encode())
    run_file = settings.out / f"{job.name}.jsonl"
    with Child(f"server-{job.name}", _serve_command(settings), settings.logs) as server:
        shape = _shape_command(server.address(_START_LIMIT_S), link_file)
        with Child(f"link-{job.name}", shape, settings.logs) as link:
            run = _agent_command(settings, job, link.address(_START_LIMIT_S), run_file)
            with Child(f"agent-{job.name}", run, settings.logs) as agent:
                line = _follow(_Processes(agent, link, server), run_file, phases, hear)
    write_file(run_file, read_file(run_file) + json.dumps(line).encode() + b"\n")
    return run_file


def _follow(
    processes: _Processes, run_file: Path, phases: tuple[Phase, ...], hear: Hear
) -> dict[str, Any]:
    """Pass the agent's lines on until it ends; return the schedule as a line of the run."""
    limit_s = phases[-1].start_s + phases[-1].seconds + _SPARE_S
    until_s = time.monotonic() + limit_s
    tail = Tail(run_file)
    schedule: dict[str, Any] | None = None
    ended = False
    while not ended:
        ended = processes.have_ended()  # before reading, so that the last lines are read too
        for line in tail.read():
            if schedule is None and line["kind"] == "link" and line["up"]:
                schedule = to_line(phases, -line["at_s"])  # the link's time begins with it
                hear(schedule)
            hear(line)
        if time.monotonic() >= until_s:
            raise OfframpError(f"{processes.agent.name} did not end within {limit_s:.0f} s")
        time.sleep(0.0 if ended else _POLL_S)
    return schedule or to_line(phases, 0.0)


def _serve_command(settings: DemoSettings) -> list[str]:
    return offramp_command("serve", settings.bundle, "--listen", "127.0.0.1:0")


def _shape_command(upstream: str, link_file: Path) -> list[str]:
    return offramp_command(
        *("shape", "--listen", "127.0.0.1:0"),
        *("--upstream", upstream),
        *("--link", link_file),
    )


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

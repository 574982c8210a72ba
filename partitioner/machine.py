"""The machine: what a profile says of where it was measured, and how that differs from here."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from offramp import backends
from partitioner.profile import Machine, Profile, Runner

__all__ = ["as_measured", "differences", "this_machine"]


def this_machine() -> Machine:
    """Describe the machine that this process runs on."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _cores(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
    )


def differences(profile: Profile, here: Machine) -> Iterator[str]:
    """Say what of a profile's machine and backends differs from what is ``here``."""
    there = profile.machine
    for name in Machine.model_fields:
        ours, theirs = getattr(here, name), getattr(there, name)
        if ours != theirs:
            yield f"{name} {theirs}, here {ours}"
    for name, version in sorted({(r.backend, r.version) for r in profile.runners}):
        if (installed := _installed(name)) != version:
            yield f"{name} {version}, here {installed}"


def as_measured(runner: Runner) -> bool:
    """Tell whether a runner's backend is installed here in the version that was measured."""
    return _installed(runner.backend) == runner.version


def _installed(name: str) -> str:
    known = backends.BACKENDS.get(name)
    return known.version() if known and known.missing() is None else "not installed"


def _cores() -> int:
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

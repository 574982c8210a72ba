"""The registry of targets: everything that reads bytes from the wire or from a file."""

from __future__ import annotations

from functools import cache

from benchmarks.fuzzing import (
    bundles,
    frames,
    learnt,
    messages,
    programs,
    security,
    settings,
    sources,
    traces,
)
from benchmarks.fuzzing.target import Target
from offramp.choices import choose

__all__ = ["every_target", "find_target"]


@cache
def every_target() -> tuple[Target, ...]:
    """Return every target."""
    modules = (frames, messages, bundles, learnt, programs, settings, traces, sources, security)
    return tuple(target for module in modules for target in module.targets())


def find_target(name: str) -> Target:
    """Return the target of a name; raise `ConfigError` if there is none."""
    return choose("target", name, {target.name: target for target in every_target()})

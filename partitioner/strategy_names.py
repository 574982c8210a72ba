"""The names of all strategies, for commands that are not to load these."""

from __future__ import annotations

__all__ = ["DEPLOYED", "SIMULATED", "either_of"]

DEPLOYED = (
    "offramp",
    "device_only",
    "device_exits",
    "server_only",
    "server_only_raw",
    "fixed_split",
    "neurosurgeon",
    "dads",
    "qdmp",
    "edgent",
    "spinn",
    "portend",
    "ans",
)
"""Those that a device can run under (docs/strategies.md)."""

SIMULATED = ("static", "oracle")
"""Those that know what comes, which is so in simulation alone."""


def either_of(names: tuple[str, ...]) -> str:
    """Return names as words: the first, the second or the third."""
    return f"{', '.join(names[:-1])} or {names[-1]}"

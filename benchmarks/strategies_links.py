"""What courses of links are made of: chains of rate and delay, and chosen recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from offramp.files import write_file
from sim.rates.trace import RateTrace
from sim.traces import read_trace

__all__ = [
    "PLACES",
    "RTT_S",
    "Course",
    "link",
    "others",
    "scaled",
    "scaled_text",
    "spread",
    "stated",
]

PLACES = 5
RTT_S = {"lte": 0.05, "5g": 0.03, "3g": 0.1, "wifi": 0.01, "line": 0.02}


@dataclass(frozen=True)
class Course:
    """Links that devices replay, as many places in each as make `PLACES` in all.

    ``kind`` is ``uplink``, ``proxy`` or ``generated``; ``rtt`` and ``told`` say what the round trip
    and the rates are; ``board`` names what a device draws (`partitioner.boards`). ``ways`` are
    settings of `sim.world.way.WaySettings`, at most `PLACES`, with their places ``offset_s`` apart.
    A course is ``held_out`` if no constant of the controller was ever tried on it.
    """

    name: str
    kind: str
    rtt: str
    told: str
    board: str
    ways: tuple[dict[str, Any], ...]
    held_out: bool = False

    @property
    def places(self) -> tuple[int, ...]:
        """How many places there are in each of the links: `PLACES` in all, the first ones more."""
        each, more = divmod(PLACES, len(self.ways))
        return tuple(each + (at < more) for at in range(len(self.ways)))


def link(up: dict[str, Any], down: dict[str, Any], rtt_s: float) -> dict[str, Any]:
    """Return the settings of a link with the rates of both ways and a constant round trip."""
    delay = {"kind": "delay", "seconds": rtt_s / 2}
    return {
        "up": [{"kind": "rate", **up}, delay],
        "down": [{"kind": "rate", **down}, delay],
    }


def stated(net: str) -> str:
    """Say what round trip is taken for a kind of network, where none was recorded."""
    return f"{RTT_S[net] * 1e3:g} ms, stated"


def scaled(folder: Path, path: Path, factor: float) -> dict[str, Any]:
    """Return the settings of a rate that is a recorded one times a factor, kept in ``folder``."""
    if factor == 1:
        return {"trace": str(path)}
    name = "-".join(path.parts[-3:]).replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{name}-x{factor:g}.csv"
    write_file(kept, scaled_text(read_trace(path), factor).encode())
    return {"trace": str(kept)}


def scaled_text(trace: RateTrace, factor: float) -> str:
    """Return a trace times a factor as columns, if its last step is as long as that before."""
    rows = [
        f"{at_s!r},{factor * 8 * (after - before) / (until_s - at_s)!r}"
        for (at_s, before), (until_s, after) in pairwise(trace.knots)
    ]
    return "\n".join(["seconds,bps", *rows]) + "\n"


def spread(members: Sequence[Any], count: int) -> list[Any]:
    """Return so many members, evenly spread from first to last; all if there are not more."""
    if len(members) <= count:
        return list(members)
    return [members[at] for at in np.linspace(0, len(members) - 1, count).round().astype(int)]


def others(members: Sequence[Any], count: int) -> list[Any]:
    """Return so many members that `spread` left out, evenly spread; none if too few are left."""
    taken = [id(member) for member in spread(members, count)]
    left = [member for member in members if id(member) not in taken]
    return spread(left, count) if len(left) >= count else []

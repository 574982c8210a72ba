"""The truth: what a virtual device is in for, for controllers that know what comes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, islice, takewhile

from sim.model import Link
from sim.world.connection import ANSWER_OVERHEAD_BYTES, Connection
from sim.world.course import LoadCourse
from sim.world.foresight import Foresight, Way
from sim.world.kind import Kind
from sim.world.server import VirtualServer
from sim.world.spread import mean_s

__all__ = ["Truth", "find_truth"]

_MOST_ARRIVALS = 1_000_000
_FORESEEN = 400


@dataclass(frozen=True)
class Truth:
    """What a virtual device is in for: its link and server, its own load, when samples come."""

    foresight: Foresight
    load: LoadCourse
    arrivals_s: Sequence[float]


def find_truth(
    kind: Kind,
    number: int,
    link: Link,
    server: VirtualServer | None,
    connection: Connection | None,
) -> Truth:
    """Return what a device is in for; without a server that is its own load."""
    way = None
    if connection is not None:
        way = Way(
            link,
            offset_s=kind.ahead_s(number),
            answer_bytes=kind.answer_bytes + ANSWER_OVERHEAD_BYTES,
            rpc_s=mean_s(kind.run.scenario.rpc_s),
            is_up=connection.is_up,
        )
    server_load = LoadCourse() if kind.server is None else kind.server.load
    foresight = Foresight(way, server, server_load)
    return Truth(foresight, kind.group.load, _some_arrivals_s(kind, number))


def _some_arrivals_s(kind: Kind, number: int) -> list[float]:
    """Return when some of a device's requests come, evenly chosen.

    Where each comes when the device is ready for it, as if that took it the whole model every time.
    """
    requests = kind.requests(number, samples=1)
    whole_s = max(kind.planner.device.head[-1].median_s, 1e-4)
    times_s = count(0.0, whole_s) if requests.times_s is None else requests.times_s
    within = takewhile(lambda time_s: time_s <= requests.until_s, times_s)
    most = _MOST_ARRIVALS if requests.count == math.inf else int(requests.count)
    found = list(islice(within, most))
    return found[:: -(-len(found) // _FORESEEN)] if found else [0.0]

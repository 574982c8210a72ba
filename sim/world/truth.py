"""The truth: what a virtual device is in for, for controllers that know what comes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, islice, pairwise, takewhile

from sim.model import Link
from sim.world.connection import ANSWER_OVERHEAD_BYTES, Connection
from sim.world.course import LoadCourse
from sim.world.device import VirtualDevice
from sim.world.foresight import Foresight, Way
from sim.world.kind import Kind
from sim.world.requests import Requests
from sim.world.server import VirtualServer
from sim.world.spread import mean_s

__all__ = ["Truth", "find_truth"]

_MOST_ARRIVALS = 1_000_000
_FORESEEN = 400


@dataclass(frozen=True)
class Truth:
    """What a virtual device is in for: its link and server, its own load, when samples come.

    ``arrivals_s`` says of some of them when, counted from the first moment that any can come, and
    how long before the next one. ``next_s`` says when the one comes that follows on the one whose
    head begins at a time of the world's: then, if it waits already; never, if there is none or it
    comes when the device is ready for it.
    """

    foresight: Foresight
    load: LoadCourse
    arrivals_s: Sequence[tuple[float, float]]
    next_s: Callable[[float], float]


def find_truth(
    kind: Kind,
    number: int,
    link: Link,
    server: VirtualServer | None,
    connection: Connection | None,
    device: Callable[[], VirtualDevice],
) -> Truth:
    """Return what a device is in for; without a server that is its own load.

    ``device`` tells which one it is, once it is there.
    """
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
    coming = _Coming(kind.requests(number, samples=1), device)
    return Truth(foresight, kind.group.load, _some_arrivals_s(kind, number), coming.next_s)


def _some_arrivals_s(kind: Kind, number: int) -> list[tuple[float, float]]:
    """Return when some of a device's requests come, evenly chosen, and how long until the next.

    Where each comes when the device is ready for it, as if that took it the whole model every time.
    """
    requests = kind.requests(number, samples=1)
    whole_s = max(kind.planner.device.head[-1].median_s, 1e-4)
    times_s = count(0.0, whole_s) if requests.times_s is None else requests.times_s
    within = takewhile(lambda time_s: time_s <= requests.until_s, times_s)
    most = _MOST_ARRIVALS if requests.count == math.inf else int(requests.count)
    found = list(islice(within, most)) or [0.0]
    waits = requests.times_s is None
    gaps_s = [math.inf if waits else later - one for one, later in pairwise(found)]
    pairs = list(zip(found, [*gaps_s, math.inf], strict=True))
    return pairs[:: -(-len(pairs) // _FORESEEN)]


class _Coming:
    """When a device's requests come, looked up in order."""

    def __init__(self, requests: Requests, device: Callable[[], VirtualDevice]) -> None:
        self._requests, self._device = requests, device
        self._came, self._next_s = 0, -math.inf

    def next_s(self, now_s: float) -> float:
        """Return when the one comes after that which the device takes next: at least then."""
        device = self._device()
        while self._came < device.taken + 2:
            self._next_s = self._requests.next_s(self._came)
            self._came += 1
        return max(device.began_s + self._next_s, now_s)

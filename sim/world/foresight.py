"""Foresight: what a link, a server and a device will do, without changing anything of them.

A message is followed through the conditions of the link behind what is on it already. What is
random there is not drawn: jitter delays by the mean of what the last packet to come takes, and
losses by what their repair takes in the mean. Rates, delays, outages and hand-overs
are known exactly.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sim.link.condition import Chain
from sim.link.outage import Blackout
from sim.model import Link
from sim.world.course import LoadCourse
from sim.world.server import VirtualServer

__all__ = ["UNLIMITED_BPS", "Coming", "Foresight", "Way"]

UNLIMITED_BPS = 1e12
"""What conditions have for a bandwidth without limit."""


@dataclass(frozen=True)
class Way:
    """The way to a server and back: the link, and its course, which is ``offset_s`` ahead.

    ``rpc_s`` is what a message and its answer of so many bytes cost besides, half of it each way.
    ``is_up`` tells whether there is a connection now.
    """

    link: Link
    offset_s: float
    answer_bytes: int
    rpc_s: float
    is_up: Callable[[], bool]


class Foresight:
    """What will become of what is sent; every time is the world's."""

    def __init__(
        self, way: Way | None, server: VirtualServer | None, server_load: LoadCourse
    ) -> None:
        self._way, self._server, self._server_load = way, server, server_load

    def reaches(self, now_s: float) -> bool:
        """Tell whether there is a connection now."""
        return self._way is not None and self._way.is_up()

    def is_open(self, at_s: float) -> bool:
        """Tell whether there could be a connection at a time, whatever it is now."""
        way = self._way
        if way is None:
            return False
        begins = (b.start_s for b in self._resets(at_s + way.offset_s))
        return next(begins, math.inf) > at_s + way.offset_s

    def away_s(
        self, sent_s: float, size_bytes: float, server_s: float, up_s: float | None = None
    ) -> float:
        """Return how long the answer takes to a message that is sent at a time; maybe for ever.

        There was a connection at ``up_s``, by default then. What is to go out or on its way when it
        breaks is lost. The server's wait is what it measures now.
        """
        way, server = self._way, self._server
        if way is None or server is None:
            return math.inf
        came_s = self._pass(way.link.up, sent_s + way.rpc_s / 2, size_bytes)
        if came_s == math.inf:
            return math.inf
        took_s = server.wait_s + server_s * self._server_load.stretch(came_s)
        back_s = self._pass(way.link.down, came_s + took_s + way.rpc_s / 2, way.answer_bytes)
        break_s = self._next_break_s(sent_s if up_s is None else up_s)
        return back_s - sent_s if back_s < break_s else math.inf

    def bandwidth_bps(self, now_s: float, for_bytes: float = 10_000.0) -> float:
        """Return how fast the uplink takes some more bytes."""
        took_s = self.away_s(now_s, for_bytes, 0.0) - self.away_s(now_s, 0.0, 0.0)
        return 8 * for_bytes / took_s if took_s > 0 else math.inf

    def _pass(self, chain: Chain, entered_s: float, size_bytes: float) -> float:
        assert self._way is not None
        offset_s = self._way.offset_s
        return chain.expect_s(entered_s + offset_s, math.ceil(size_bytes)) - offset_s

    def _next_break_s(self, after_s: float) -> float:
        """Return when connections break next."""
        assert self._way is not None
        offset_s = self._way.offset_s
        begins = (b.start_s for b in self._resets(after_s + offset_s))
        return next((one for one in begins if one > after_s + offset_s), math.inf) - offset_s

    def _resets(self, from_s: float) -> Iterator[Blackout]:
        """Yield the outages that break connections and end after a time of the link's."""
        assert self._way is not None
        each = [one.blackouts(from_s) for one in self._way.link.outages if one.resets]
        merged = heapq.merge(*each, key=lambda blackout: blackout.start_s)
        return (blackout for blackout in merged if blackout.reset)


@dataclass(frozen=True)
class Coming:
    """What will happen to a sample whose head begins at a time (`partitioner.future.Future`)."""

    foresight: Foresight
    at_s: float
    device_stretch: float
    reachable: bool
    gap_s: float = math.inf

    def away_s(self, after_s: float, size_bytes: float, server_s: float) -> float:
        """Return how long the answer takes to what is sent after a time from then."""
        return self.foresight.away_s(self.at_s + after_s, size_bytes, server_s, self.at_s)

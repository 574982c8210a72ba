"""The link of a virtual device: what `sim.model` says of it, message by message.

A message's bytes enter a direction's chain of conditions when they are sent and leave it when the
last of them is served, delayed and so on, as in the live relay. The sender may write on as long as
no more than the link's ``buffer_bytes`` are under way.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from sim.line import PACKET_BYTES
from sim.link import Chain
from sim.link.delay import Delay
from sim.link.noop import Noop
from sim.link.outage import Blackout, Outage
from sim.link.rate import Rate
from sim.model import Link

__all__ = ["Direction", "VirtualLink"]

_WHOLE = (Delay, Noop, Outage, Rate)
"""Conditions that treat a message like its packets one after the other; others draw for each, so
that a message passes a link which has one of those as a train of packets."""

_OPENING_BYTES = 100
_OPENING_TRIPS = 2  # TCP's handshake, then HTTP/2's settings


class Direction:
    """One way through a link; times are the world's, which ``offset_s`` leads into the link's.

    ``sending_s`` is how long its rate, or all of it if it has none, was busy.
    """

    __slots__ = ("_by_packet", "_chain", "_offset_s", "_served_s", "_steps", "sending_s")

    def __init__(self, chain: Chain, offset_s: float) -> None:
        self._chain, self._offset_s = chain, offset_s
        self._by_packet = not all(isinstance(one, _WHOLE) for one in chain.conditions)
        self._steps = tuple((one, isinstance(one, Rate)) for one in chain.conditions)
        self._served_s = 0.0
        self.sending_s = 0.0

    def leave_s(self, now_s: float, size_bytes: int) -> float:
        """Return when a message that enters now has left; infinite if it never does."""
        entered_s = now_s + self._offset_s
        if self._by_packet and size_bytes > PACKET_BYTES:
            return self._pass_train(entered_s, size_bytes) - self._offset_s
        return self._pass(entered_s, size_bytes) - self._offset_s

    def forget(self, now_s: float) -> None:
        """Drop what is on its way."""
        self._chain.forget(now_s + self._offset_s)
        self._served_s = min(self._served_s, now_s + self._offset_s)

    def served_bytes(self, from_s: float, to_s: float) -> float:
        """Return how many bytes the rate could serve in a stretch of time; infinite without one."""
        found = math.inf
        for condition in self._chain.conditions:
            if isinstance(condition, Rate):
                served = condition.served.served_bytes(
                    from_s + self._offset_s, to_s + self._offset_s
                )
                found = min(found, served)
        return found

    def delay_s(self, now_s: float) -> float:
        """Return the constant delay that holds now."""
        delays = (one for one in self._chain.conditions if isinstance(one, Delay))
        return sum(
            one.leave_s(now_s + self._offset_s, 0) - now_s - self._offset_s for one in delays
        )

    def _pass(self, time_s: float, size_bytes: int) -> float:
        for condition, is_rate in self._steps:
            if not is_rate:
                time_s = condition.release_s(time_s, size_bytes)
                continue
            begun_s = time_s if time_s > self._served_s else self._served_s
            time_s = condition.release_s(time_s, size_bytes)
            if time_s < math.inf:
                self.sending_s += time_s - begun_s
                self._served_s = time_s
        return time_s

    def _pass_train(self, entered_s: float, size_bytes: int) -> float:
        """Let a message pass condition after condition, each of which takes all its packets."""
        whole, rest = divmod(size_bytes, PACKET_BYTES)
        sizes = [PACKET_BYTES] * whole + [rest] * (rest > 0)
        times_s: Sequence[float] = [entered_s] * len(sizes)
        for condition, is_rate in self._steps:
            left_s = condition.release_train(times_s, sizes)
            if is_rate:
                self._count_sending(times_s, left_s)
            times_s = left_s
        return times_s[-1]

    def _count_sending(self, entered_s: Sequence[float], left_s: Sequence[float]) -> None:
        served_s, sending_s = self._served_s, self.sending_s
        for begun_s, ended_s in zip(entered_s, left_s, strict=True):
            if ended_s == math.inf:
                break
            sending_s += ended_s - (begun_s if begun_s > served_s else served_s)
            served_s = ended_s
        self._served_s, self.sending_s = served_s, sending_s


class VirtualLink:
    """Both directions between a device and its server; ``offset_s`` ahead in the link's course."""

    __slots__ = ("_held_bytes", "_model", "_offset_s", "_resetting", "_under_way", "down", "up")

    def __init__(self, model: Link, offset_s: float = 0.0) -> None:
        self.up, self.down = Direction(model.up, offset_s), Direction(model.down, offset_s)
        self._model, self._offset_s = model, offset_s
        # The others may go on for ever without a break to be found.
        self._resetting = tuple(outage for outage in model.outages if outage.resets)
        self._under_way: list[tuple[float, int]] = []
        self._held_bytes = 0

    def send_s(self, now_s: float, size_bytes: int) -> float:
        """Return when a message that the device writes now reaches the server."""
        arrives_s = self.up.leave_s(now_s, size_bytes)
        self._under_way.append((arrives_s, size_bytes))
        self._held_bytes += size_bytes
        return arrives_s

    def ready_s(self, now_s: float) -> float:
        """Return from when on the sender's buffer takes another message."""
        waiting, limit = self._under_way, self._model.buffer_bytes
        if waiting and waiting[0][0] <= now_s:
            arrived = bisect_right(waiting, now_s, key=lambda message: message[0])
            self._held_bytes -= sum(size_bytes for _, size_bytes in waiting[:arrived])
            del waiting[:arrived]
        if self._held_bytes < limit:
            return now_s
        held_bytes = self._held_bytes
        for arrives_s, size_bytes in waiting:
            held_bytes -= size_bytes
            if held_bytes < limit:
                return arrives_s
        raise AssertionError("what is under way is more than all of it")

    def open_s(self, now_s: float) -> float:
        """Return when a connection that is begun now is open; infinite if it is refused."""
        if self._is_broken(now_s):
            return math.inf
        for _ in range(_OPENING_TRIPS):
            now_s = self.down.leave_s(self.up.leave_s(now_s, _OPENING_BYTES), _OPENING_BYTES)
        return now_s

    def forget(self, now_s: float) -> None:
        """Drop what is on its way, for the connection is gone."""
        self.up.forget(now_s)
        self.down.forget(now_s)
        self._under_way.clear()
        self._held_bytes = 0

    def breaks_s(self) -> Iterator[float]:
        """Yield when connections break, from time 0 on."""
        for blackout in self._resets(0.0):
            if blackout.start_s >= self._offset_s:
                yield blackout.start_s - self._offset_s

    def _is_broken(self, now_s: float) -> bool:
        at_s = now_s + self._offset_s
        return any(
            next((b.start_s <= at_s for b in outage.blackouts(at_s) if b.reset), False)
            for outage in self._resetting
        )

    def _resets(self, from_s: float) -> Iterator[Blackout]:
        each = [outage.blackouts(from_s + self._offset_s) for outage in self._resetting]
        merged = heapq.merge(*each, key=lambda blackout: blackout.start_s)
        return (blackout for blackout in merged if blackout.reset)

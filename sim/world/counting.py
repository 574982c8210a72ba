"""Counting: what of a device's doings goes into its group's tally."""

from __future__ import annotations

from device.work import Finish, Work
from offramp.messages import Probe
from sim.world.processor import Held
from sim.world.tally import Tally

__all__ = ["Counting"]


class Counting:
    """Adds to a tally what is done for requests that come from ``from_s`` on, and from then on."""

    __slots__ = ("_from_s", "_probed_s", "_tally")

    def __init__(self, tally: Tally, from_s: float) -> None:
        self._tally, self._from_s = tally, from_s
        self._probed_s: dict[int, float] = {}

    def computed(self, work: Work, took_s: float, *, hedging: bool = False) -> None:
        """Count processor time; ``hedging`` if the sample's answer is under way."""
        if work.arrived_s >= self._from_s:
            self._tally.device_s += took_s
            self._tally.hedge_s += took_s if hedging else 0.0

    def sent(self, work: Work, size_bytes: int, sending_s: float) -> None:
        """Count a sample's message, with which the uplink is busy for a time."""
        if work.arrived_s >= self._from_s:
            self._tally.sent += 1
            self._tally.up_bytes += size_bytes
            self._tally.sending_s += sending_s

    def probed(self, now_s: float, probe: Probe, size_bytes: int, sending_s: float) -> None:
        """Count a probe, likewise."""
        if now_s >= self._from_s:
            self._probed_s[probe.id] = now_s
            self._tally.probes += 1
            self._tally.probe_bytes += size_bytes
            self._tally.sending_s += sending_s

    def replied(self, now_s: float, probe: Probe) -> None:
        """Count how long a probe's reply took."""
        probed_s = self._probed_s.pop(probe.id, now_s)
        self._tally.probe_waiting_s += now_s - probed_s

    def disconnected(self) -> None:
        """Wait for no replies any more; for those that do not come nothing is counted."""
        self._probed_s.clear()

    def served(self, now_s: float, spent_s: float) -> None:
        """Count a server's time for an answer that has come back."""
        if now_s >= self._from_s:
            self._tally.server_s += spent_s

    def finished(self, now_s: float, action: Finish, held: Held) -> None:
        """Count a request that has ended."""
        tally, work = self._tally, action.work
        if work.arrived_s < self._from_s:
            return
        if not action.by:
            tally.unanswered(action.status)
            return
        if work.sent_s:
            tally.waiting_s += (work.begun_s or now_s) - work.sent_s
        by = action.by if held.exit is None else f"exit {held.exit}"
        late = now_s > work.deadline_s
        tally.answered(now_s - work.arrived_s, by, action.status, right=held.right, late=late)

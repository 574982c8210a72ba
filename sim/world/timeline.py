"""Timelines: what a few devices believed and did, step by step, beside what their links were."""

from __future__ import annotations

import math
from typing import Any

from sim.world.clock import Clock
from sim.world.device import VirtualDevice
from sim.world.link import VirtualLink

__all__ = ["COLUMNS", "Timeline"]

COLUMNS = (
    "at_s",
    "bandwidth_bps",
    "believed_bps",
    "rtt_s",
    "believed_rtt_s",
    "reachable",
    "cut",
    "level",
    "in_flight",
)
"""The columns of a timeline's rows. ``bandwidth_bps`` is the uplink's mean rate over the step that
ends at ``at_s``, null if it has no limit, ``rtt_s`` the constant delay of both ways; the level is
null where nothing is sent, and so are cut and level before the first plan."""


class Timeline:
    """One device's course, a row each ``step_s`` while it runs."""

    def __init__(
        self, clock: Clock, device: VirtualDevice, link: VirtualLink | None, step_s: float
    ) -> None:
        self._clock, self._device, self._link, self._step_s = clock, device, link, step_s
        self.rows: list[list[Any]] = []
        clock.at(step_s, self._take, 1)

    def to_json(self) -> dict[str, Any]:
        """Return all rows."""
        return {"device": self._device.name, "columns": list(COLUMNS), "rows": self.rows}

    def _take(self, number: int) -> None:
        if self._device.done:
            return
        now_s, controller = self._clock.now_s, self._device.controller
        conditions, plan = controller.conditions(now_s), self._device.plan
        bandwidth_bps = rtt_s = None
        if self._link is not None:
            served = self._link.up.served_bytes(now_s - self._step_s, now_s)
            bandwidth_bps = 8 * served / self._step_s if served < math.inf else None
            rtt_s = self._link.up.delay_s(now_s) + self._link.down.delay_s(now_s)
        self.rows.append(
            [
                now_s,
                bandwidth_bps,
                conditions.bandwidth_bps,
                rtt_s,
                conditions.rtt_s,
                conditions.reachable,
                plan and plan.cut,
                plan and plan.level,
                self._device.dispatch.waiting,
            ]
        )
        self._clock.at((number + 1) * self._step_s, self._take, number + 1)

"""Timelines: what a few devices believed and did, step by step, beside what their links were."""

from __future__ import annotations

import math
from typing import Any

from device.work import Finish
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
    "finished",
    "late",
    "latency_mean_s",
    "latency_max_s",
)
"""The columns of a timeline's rows. ``bandwidth_bps`` is the uplink's mean rate over the step that
ends at ``at_s``, null if it has no limit, ``rtt_s`` the constant delay of both ways; the level is
null where nothing is sent, and so are cut and level before the first plan. Of the requests that
``finished`` in the step some were ``late`` or had no answer; latencies are those of answers."""


class Timeline:
    """One device's course, a row each ``step_s`` while it runs."""

    def __init__(self, clock: Clock, step_s: float) -> None:
        self._clock, self._step_s = clock, step_s
        self.rows: list[list[Any]] = []
        self._finished = self._late = self._answers = 0
        self._sum_s = self._most_s = 0.0

    def follow(self, device: VirtualDevice, link: VirtualLink | None) -> None:
        """Begin with a device and its link, if it has one."""
        self._device, self._link = device, link
        self._clock.at(self._step_s, self._take, 1)

    def note(self, now_s: float, finish: Finish) -> None:
        """Take in that a request of the device ended."""
        self._finished += 1
        self._late += not finish.by or now_s > finish.work.deadline_s
        if finish.by:
            self._answers += 1
            latency_s = now_s - finish.work.arrived_s
            self._sum_s += latency_s
            self._most_s = max(self._most_s, latency_s)

    def to_json(self) -> dict[str, Any]:
        """Return all rows."""
        return {"device": self._device.name, "columns": list(COLUMNS), "rows": self.rows}

    def _clear(self) -> None:
        self._finished = self._late = self._answers = 0
        self._sum_s = self._most_s = 0.0

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
                self._finished,
                self._late,
                self._sum_s / self._answers if self._answers else None,
                self._most_s if self._answers else None,
            ]
        )
        self._clear()
        self._clock.at((number + 1) * self._step_s, self._take, number + 1)

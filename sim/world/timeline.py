"""Timelines: what a few devices believed and did, step by step, beside what their links were."""

from __future__ import annotations

import math
from typing import Any

from device.work import Finish
from sim.world.clock import Clock
from sim.world.device import VirtualDevice
from sim.world.foresight import UNLIMITED_BPS
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
ends at ``at_s``, null if it has no limit, and so is ``believed_bps`` of those that know.
``rtt_s`` is the constant delay of both ways; the level is null where nothing is sent, and so are
cut and level before the first plan. Of the requests that ``finished`` in the step some were
``late`` or had no answer; latencies are those of answers."""


_MOST_ROWS = 4000  # an even number


class Timeline:
    """One device's course, a row each ``step_s`` while it runs.

    Its memory does not grow with time: of so many rows that a report shows no more of them, each
    two become one, and from then on a step is twice as long.
    """

    def __init__(self, clock: Clock, step_s: float) -> None:
        self._clock, self._step_s = clock, step_s
        self.rows: list[list[Any]] = []
        self._answered: list[int] = []
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
                conditions.bandwidth_bps if conditions.bandwidth_bps < UNLIMITED_BPS else None,
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
        self._answered.append(self._answers)
        self._clear()
        if len(self.rows) == _MOST_ROWS:
            self._halve()
            number //= 2
        self._clock.at((number + 1) * self._step_s, self._take, number + 1)

    def _halve(self) -> None:
        """Make one row of each two, and the steps to come as long."""
        answered = self._answered
        pairs = zip(self.rows[::2], self.rows[1::2], answered[::2], answered[1::2], strict=True)
        self.rows = [_as_one(*pair) for pair in pairs]
        self._answered = [
            one + other for one, other in zip(answered[::2], answered[1::2], strict=True)
        ]
        self._step_s *= 2


def _as_one(first: list[Any], last: list[Any], answers: int, more: int) -> list[Any]:
    """Return the row of two steps, with so many answers each, as one."""
    one, found = dict(zip(COLUMNS, first, strict=True)), dict(zip(COLUMNS, last, strict=True))
    if None not in (one["bandwidth_bps"], found["bandwidth_bps"]):
        found["bandwidth_bps"] = (one["bandwidth_bps"] + found["bandwidth_bps"]) / 2
    else:
        found["bandwidth_bps"] = None
    for name in ("finished", "late"):
        found[name] += one[name]
    if answers:
        sum_s = answers * one["latency_mean_s"] + more * (found["latency_mean_s"] or 0.0)
        found["latency_mean_s"] = sum_s / (answers + more)
        found["latency_max_s"] = max(one["latency_max_s"], found["latency_max_s"] or 0.0)
    return list(found.values())

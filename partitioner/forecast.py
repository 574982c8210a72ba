"""Forecasts: what candidates would do under given conditions, exactly under the model.

How far the link is in doubt counts in quantiles and late shares, means need none of it. What uneven
samples wait for the device counts in means alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.errors import PlanError
from partitioner.conditions import Conditions
from partitioner.costs import FRAME_OVERHEAD_BYTES, Costs
from partitioner.demands import Floats
from partitioner.doubt import chance_late, is_in_doubt

__all__ = ["Forecast"]

_AT_ONCE = 500_000  # so many samples are followed side by side
_ENDS = slice(None, -1), slice(1, None)

_Count = Callable[[NDArray[Any], Floats], Floats]


class Forecast:
    """What C candidates do under conditions; every array is float64 (C,)."""

    def __init__(self, costs: Costs, conditions: Conditions) -> None:
        self.costs = costs
        self.conditions = conditions

    @cached_property
    def mean_s(self) -> Floats:
        """Mean latency."""
        return self.costs.mean.latency_s(self.conditions)

    @cached_property
    def cost_s(self) -> Floats:
        """Mean latency and what else it costs, as `Demands.cost_s` counts it."""
        return self.costs.mean.cost_s(self.conditions)

    def quantile_s(self, share: float) -> Floats:
        """Return the latency that a share of the samples does not exceed.

        If more than the others are sent in vain, so is the one that decides.
        """
        vain = self.conditions.tail_vain_share * self.costs.mean.sent > 1 - share
        return self.costs.tail(share).raced_s(self.conditions, vain)

    def late_share(self, deadline_s: float) -> Floats:
        """Return the share of samples that are answered later than ``deadline_s``.

        On a link in doubt each counts by how likely it is late (`partitioner.doubt`).
        """
        late: Floats = self._late_share(deadline_s, self._count_late)[0]
        return late

    def late_bounds(self, deadline_s: float, groups: int) -> tuple[Floats, Floats]:
        """Return the least and the most that the late share can be, by a few sizes of each.

        Samples that are sent are taken by size in so many groups; all of a group are as late as
        its shortest message, or as the shortest of the next. More groups are never further apart
        than half as many.
        """
        least, most = self._late_share(deadline_s, partial(self._bound_late, groups=groups))
        return least, most

    def _late_share(self, deadline_s: float, count: _Count) -> Floats:
        """Return late shares, (K, C), of which those that are sent are counted in K ways."""
        costs, now = self.costs, self.conditions
        device_s = costs.device_s * now.device_stretch
        in_time = np.zeros(len(costs), bool)
        vain: Floats = np.zeros_like(device_s)
        if now.hedged:
            if not now.unevenness:
                in_time = device_s + costs.rest_s * now.device_stretch <= deadline_s
            vain = np.where(in_time, 0.0, now.tail_vain_share * costs.mean.sent)
        late = self._late_stayed(deadline_s - device_s, in_time, count)
        late_exits = costs.exit_s * now.device_stretch > deadline_s
        total: Floats = np.maximum(late, vain)
        total += (costs.candidates.exit_shares * late_exits).sum(axis=1)
        return total

    def _late_stayed(self, left_s: Floats, in_time: NDArray[np.bool_], count: _Count) -> Floats:
        """Return the shares, (K, C), that are late of the samples that do not leave at an exit.

        What is sent has ``left_s`` for the way to the server and back, unless it is ``in_time``
        whatever becomes of it.
        """
        costs, now = self.costs, self.conditions
        left_s = left_s - costs.sends * (now.queue_s + costs.server_s * now.server_stretch)
        sent = np.flatnonzero(costs.sends & ~in_time & (costs.stayed > 0))
        counted = count(sent, left_s[sent])
        late = np.tile(np.where(left_s < 0, costs.stayed, 0), (len(counted), 1)).astype(float)
        late[:, costs.sends & in_time] = 0.0
        late[:, sent] = counted
        share: Floats = late / costs.candidates.sent_bytes.shape[1]
        return share

    def _bound_late(self, rows: NDArray[Any], left_s: Floats, *, groups: int) -> Floats:
        """Return how many are late at least and at most of what is sent under R rows, (2, R)."""
        sizes, stayed = self.costs.candidates.sent_bytes, self.costs.stayed[rows]
        before = stayed[:, None] * np.arange(groups + 1) // groups
        starts = sizes.shape[1] - stayed[:, None] + np.minimum(before, stayed[:, None] - 1)
        chances = self._chances(sizes[rows[:, None], starts], left_s[:, None])
        counts = np.diff(before, axis=1)
        return np.stack([(counts * chances[:, ends]).sum(axis=1) for ends in _ENDS])

    def _count_late(self, rows: NDArray[Any], left_s: Floats) -> Floats:
        """Return how many samples are likely late of what is sent under R rows, (1, R)."""
        sizes, stayed = self.costs.candidates.sent_bytes, self.costs.stayed
        samples = sizes.shape[1]
        least, late = self._bound_late(rows, left_s, groups=1)
        between = np.flatnonzero(late > least)  # elsewhere all are as late
        step = max(_AT_ONCE // samples, 1)
        for part in (between[at : at + step] for at in range(0, len(between), step)):
            some = rows[part]
            chances = self._chances(sizes[some], left_s[part, None])
            there = np.arange(samples) >= samples - stayed[some, None]
            late[part] = (chances * there).sum(axis=1)
        counted: Floats = late[None]
        return counted

    def _chances(self, sizes: NDArray[Any], left_s: Floats) -> Floats:
        """Return how likely messages are late that have so long for the way there and back."""
        now = self.conditions
        if is_in_doubt(now):
            return chance_late(8.0 * (sizes + FRAME_OVERHEAD_BYTES), left_s, now)
        room = (left_s - now.rtt_s) / (8 / now.bandwidth_bps) - FRAME_OVERHEAD_BYTES
        late: Floats = (sizes > room).astype(np.float64)
        return late

    @cached_property
    def server_s(self) -> Floats:
        """Mean time of a sample at the server, waiting left out."""
        return self.costs.mean.server_s * self.conditions.server_stretch

    @property
    def uplink_bytes(self) -> Floats:
        """Mean bytes of a sample on the uplink, the request's overhead included."""
        return self.costs.mean.uplink_bytes

    @cached_property
    def energy_j(self) -> Floats:
        """Mean energy that a sample takes of the device, computing on in a hedge included.

        Where samples come by themselves the radio is not up for longer than until the next one that
        is sent, as if these came evenly.

        Raises `PlanError` if the device's profile does not say what it draws.
        """
        power, demands, now = self.costs.power, self.costs.mean, self.conditions
        if power is None:
            raise PlanError(
                "the device's profile does not say what it draws, so energy cannot be planned; "
                "measure it, or name a board: offramp profile --power, offramp profile --board NAME"
            )
        away_s, device_s = demands.away_s(now), demands.device_s * now.device_stretch
        if now.hedged:
            device_s = device_s + demands.hedge_s(now)
        sending_s = demands.uplink_bytes * (8 / now.bandwidth_bps)
        return power.sample_j(
            device_s, sending_s, away_s - sending_s, demands.sent, every_s=now.interval_s
        )

    @cached_property
    def period_s(self) -> Floats:
        """Least time between samples, pipelined: that of the busiest of device, link and server."""
        return self.costs.mean.period_s(self.conditions)

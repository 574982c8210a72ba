"""Forecasts: what candidates would do under given conditions, exactly under the model.

How far the link is in doubt counts in quantiles and late shares, means need none of it. What uneven
samples wait for the device counts in means alone.
"""

from __future__ import annotations

from functools import cached_property
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
        costs, now = self.costs, self.conditions
        device_s = costs.device_s * now.device_stretch
        in_time = np.zeros(len(costs), bool)
        vain: Floats = np.zeros_like(device_s)
        if now.hedged:
            if not now.unevenness:
                in_time = device_s + costs.rest_s * now.device_stretch <= deadline_s
            vain = np.where(in_time, 0.0, now.tail_vain_share * costs.mean.sent)
        late = self._late_stayed(deadline_s - device_s, in_time)
        late_exits = costs.exit_s * now.device_stretch > deadline_s
        total: Floats = np.maximum(late, vain)
        total += (costs.candidates.exit_shares * late_exits).sum(axis=1)
        return total

    def _late_stayed(self, left_s: Floats, in_time: NDArray[np.bool_]) -> Floats:
        """Return the share that is late of the samples that do not leave at an exit.

        What is sent has ``left_s`` for the way to the server and back, unless it is ``in_time``
        whatever becomes of it.
        """
        costs, now, c = self.costs, self.conditions, self.costs.candidates
        samples = c.sent_bytes.shape[1]
        stayed = np.rint((1.0 - c.exit_shares.sum(axis=1)) * samples)
        left_s = left_s - costs.sends * (now.queue_s + costs.server_s * now.server_stretch)
        late: Floats = np.where(left_s < 0, stayed, 0.0)
        sent = costs.sends & ~in_time & (stayed > 0)
        late[costs.sends & in_time] = 0.0
        if is_in_doubt(now):
            late[sent] = self._late_in_doubt(np.flatnonzero(sent), left_s, stayed)
        else:
            s_per_byte = 8 / now.bandwidth_bps
            room = (left_s[sent] - now.rtt_s) / s_per_byte - FRAME_OVERHEAD_BYTES
            # Zeros stand for those that left; they count only where those that stay are all late.
            longer = (c.sent_bytes[sent] > room[:, None]).sum(axis=1)
            late[sent] = np.minimum(longer, stayed[sent])
        share: Floats = late / samples
        return share

    def _late_in_doubt(self, rows: NDArray[Any], left_s: Floats, stayed: Floats) -> Floats:
        """Return how many samples are likely late of those that are sent under some candidates."""
        sizes, now = self.costs.candidates.sent_bytes, self.conditions
        samples = sizes.shape[1]
        first = samples - stayed.astype(np.int64)
        ends = np.stack([sizes[rows, first[rows]], sizes[rows, -1]])
        least, most = chance_late(8.0 * (ends + FRAME_OVERHEAD_BYTES), left_s[rows], now)
        late: Floats = most * stayed[rows]
        between = np.flatnonzero(most > least)  # elsewhere all are as late
        step = max(_AT_ONCE // samples, 1)
        for part in (between[at : at + step] for at in range(0, len(between), step)):
            some = rows[part]
            bits = 8.0 * (sizes[some] + FRAME_OVERHEAD_BYTES)
            chances = chance_late(bits, left_s[some, None], now)
            late[part] = (chances * (np.arange(samples) >= first[some, None])).sum(axis=1)
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

"""Forecasts: what candidates would do under given conditions, exactly under the model."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from offramp.errors import PlanError
from partitioner.conditions import Conditions
from partitioner.costs import FRAME_OVERHEAD_BYTES, Costs, Floats, first_s

__all__ = ["Forecast"]


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
        vain = (self.conditions.tail_vain_share > 1 - share) & (self.costs.mean.sent > 0)
        return self.costs.tail(share).raced_s(self.conditions, vain)

    def late_share(self, deadline_s: float) -> Floats:
        """Return the share of samples that are answered later than ``deadline_s``."""
        costs, now, c = self.costs, self.conditions, self.costs.candidates
        s_per_byte = 8 / now.bandwidth_bps
        device_s = costs.device_s * now.device_stretch
        fixed_s = now.rtt_s + now.queue_s + FRAME_OVERHEAD_BYTES * s_per_byte
        away_s = costs.sends * (fixed_s + costs.server_s * now.server_stretch)
        room = (deadline_s - device_s - away_s) / s_per_byte
        vain: Floats = np.zeros_like(device_s)
        if now.hedged:
            here_s = device_s + costs.rest_s * now.device_stretch
            room = np.where(costs.sends & (here_s <= deadline_s), np.inf, room)
            at_risk = (costs.mean.sent > 0) & (here_s > deadline_s)
            vain = np.where(at_risk, now.tail_vain_share, 0.0)
        # Zeros stand for those that left; they count only where those that stay are all late.
        samples = c.sent_bytes.shape[1]
        stayed = np.rint((1.0 - c.exit_shares.sum(axis=1)) * samples)
        late: Floats = np.minimum((c.sent_bytes > room[:, None]).sum(axis=1), stayed) / samples
        late = np.maximum(late, vain)
        late_exits = costs.exit_s * now.device_stretch > deadline_s
        late += (c.exit_shares * late_exits).sum(axis=1)
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

        The radio is not up for longer than until the next sample that comes by itself.

        Raises `PlanError` if the device's profile does not say what it draws.
        """
        power, demands, now = self.costs.power, self.costs.mean, self.conditions
        if power is None:
            raise PlanError(
                "the device's profile does not say what it draws, so energy cannot be planned; "
                "measure it with: offramp profile --power, or name a board with --board"
            )
        away_s, here_s = demands.away_s(now), demands.rest_s * now.device_stretch
        device_s = demands.device_s * now.device_stretch
        if now.hedged:
            device_s = device_s + first_s(away_s, here_s, now.vain_share)
        sending_s = demands.uplink_bytes * (8 / now.bandwidth_bps)
        drawn = power.every(now.interval_s)
        return drawn.sample_j(device_s, sending_s, away_s - sending_s, demands.sent)

    @cached_property
    def period_s(self) -> Floats:
        """Least time between samples, pipelined: that of the busiest of device, link and server."""
        return self.costs.mean.period_s(self.conditions)

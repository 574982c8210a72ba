"""Forecasts: what candidates would do under given conditions, exactly under the model.

How far the link is in doubt counts in quantiles and late shares, means need none of it. What uneven
samples wait for the device counts in means alone.
"""

from __future__ import annotations

from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from offramp.errors import PlanError
from partitioner.conditions import Conditions
from partitioner.costs import FRAME_OVERHEAD_BYTES, Costs
from partitioner.demands import Floats

__all__ = ["Forecast"]

_FIFTHS = tuple(NormalDist().inv_cdf(share) for share in (0.1, 0.3, 0.5, 0.7, 0.9))
"""The middles of five parts of a normal distribution that are as likely as each other."""

_LEAST_S_PER_BIT = 1e-10


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
        """Return the share of samples that are answered later than ``deadline_s``.

        Of a link in doubt it is the mean over links, each as likely as the others.
        """
        costs, now = self.costs, self.conditions
        device_s = costs.device_s * now.device_stretch
        in_time = np.zeros(len(costs), bool)
        vain: Floats = np.zeros_like(device_s)
        if now.hedged:
            if not now.unevenness:
                in_time = device_s + costs.rest_s * now.device_stretch <= deadline_s
            vain = np.where(~in_time & (costs.mean.sent > 0), now.tail_vain_share, 0.0)
        left_s = deadline_s - device_s
        late = np.mean([self._late_away(left_s, in_time, sigmas) for sigmas in _links(now)], axis=0)
        late_exits = costs.exit_s * now.device_stretch > deadline_s
        total: Floats = np.maximum(late, vain)
        total += (costs.candidates.exit_shares * late_exits).sum(axis=1)
        return total

    def _late_away(self, left_s: Floats, in_time: NDArray[np.bool_], sigmas: float) -> Floats:
        """Return the share that is late of the samples that do not leave at an exit.

        What is sent has ``left_s`` for the way to the server and back, unless it is ``in_time``
        whatever becomes of it.
        """
        costs, now, c = self.costs, self.conditions, self.costs.candidates
        s_per_byte = 8 * max(1 / now.bandwidth_bps + sigmas * now.s_per_bit_sigma, _LEAST_S_PER_BIT)
        rtt_s = max(now.rtt_s + sigmas * now.rtt_sigma_s, 0.0)
        fixed_s = rtt_s + now.queue_s + FRAME_OVERHEAD_BYTES * s_per_byte
        away_s = costs.sends * (fixed_s + costs.server_s * now.server_stretch)
        room = np.where(costs.sends & in_time, np.inf, (left_s - away_s) / s_per_byte)
        # Zeros stand for those that left; they count only where those that stay are all late.
        samples = c.sent_bytes.shape[1]
        stayed = np.rint((1.0 - c.exit_shares.sum(axis=1)) * samples)
        late: Floats = np.minimum((c.sent_bytes > room[:, None]).sum(axis=1), stayed) / samples
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


def _links(now: Conditions) -> tuple[float, ...]:
    """Return how many standard deviations links are slower than expected that are as likely."""
    certain = not (now.s_per_bit_sigma or now.rtt_sigma_s)
    return (0.0,) if certain else _FIFTHS

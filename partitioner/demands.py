"""Demands: what a sample asks of device, link and server; what conditions make of it is seconds.

Conditions multiply each demand with what it is worth now, so latency is a sum of products; only a
hedge, of which the lesser sum counts, and waiting for the device are more than that.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from partitioner.conditions import Conditions

__all__ = ["Bill", "Demands", "Floats", "first_s"]

_IN_VAIN_S = 1e-4
"""What an upload costs whose answer comes too late, in seconds: next to nothing."""

_LEAST_FREE = 0.02
"""So much of its time a device is free at least: waits grow without limit where there is less."""

Floats = NDArray[np.float64]


class Demands(NamedTuple):
    """What a sample demands under C candidates, each (C,): in the mean, or one at a quantile.

    Seconds of the device, the share that is sent, seconds of the server, bytes of the uplink, the
    device's seconds in which it would answer what is sent by itself, how many standard deviations
    slower than expected the link is that it meets. The last two are for waits, as long samples hold
    up those that come meanwhile: the mean square of the device's seconds, and what is added to it
    where the device answers by itself what is sent.
    """

    device_s: Floats
    sent: Floats
    server_s: Floats
    uplink_bytes: Floats
    rest_s: Floats
    link_sigmas: Floats
    device_s2: Floats
    rest_s2: Floats

    def latency_s(self, now: Conditions) -> Floats:
        """Return the latency in the mean: linear in each demand but for hedge and waiting."""
        latency_s: Floats = self.raced_s(now, now.vain_share) + self.wait_s(now)
        return latency_s

    def wait_s(self, now: Conditions) -> Any:
        """Return for how long a sample waits for the device in the mean.

        That is Pollaczek's and Khinchine's mean for samples that come at random; with Kingman, it
        is taken to be in proportion to their unevenness, so that there is none where they come
        evenly. A device that does not keep up is taken for one that just does.
        """
        if not now.unevenness:
            return 0.0
        busy_s, busy_s2 = self._busy(now)
        free = _greater(1.0 - now.rate_hz * busy_s, _LEAST_FREE)
        return (now.unevenness * now.rate_hz / 2) * busy_s2 / free

    def wait_quantile_s(self, now: Conditions, share: float) -> Any:
        """Return the wait for the device that a share of the samples does not exceed.

        As many as the device is busy for do wait, and their waits fall off exponentially.
        """
        if not now.unevenness:
            return 0.0
        busy = _lesser(_greater(now.rate_hz * self._busy(now)[0], 1e-9), 1.0 - _LEAST_FREE)
        beyond = _greater(busy / max(1.0 - share, 1e-9), 1.0)
        times = math.log(beyond) if isinstance(beyond, float) else np.log(beyond)
        return self.wait_s(now) / busy * times

    def _busy(self, now: Conditions) -> tuple[Any, Any]:
        """Return the device's seconds of a sample and their square, in the mean.

        What the device itself is to answer keeps it busy to the end.
        """
        stretch = now.device_stretch
        if not now.hedged:
            return self.device_s * stretch, self.device_s2 * stretch**2
        first = self.away_s(now) <= self.rest_s * stretch
        if isinstance(first, np.ndarray):
            here: Any = np.where(first, now.vain_share, 1.0)
        else:
            here = now.vain_share if first else 1.0
        return (
            (self.device_s + here * self.rest_s) * stretch,
            (self.device_s2 + here * self.rest_s2) * stretch**2,
        )

    def raced_s(self, now: Conditions, vain_share: Any) -> Floats:
        """Return the latency if the device answers such a share of what is sent all the same."""
        away_s, here_s = self.away_s(now), self.rest_s * now.device_stretch
        if now.hedged:
            away_s = first_s(away_s, here_s, vain_share)
        return self.device_s * now.device_stretch + away_s

    def cost_s(self, now: Conditions) -> Floats:
        """Return the mean latency, and what others lose by what is sent at the server's price.

        What is sent although the device is likely to answer first counts a little: else nothing
        would tell such a plan from one that sends nothing.
        """
        away_s = self.away_s(now) + self.sent * now.price_s
        here_s = self.rest_s * now.device_stretch + _IN_VAIN_S * self.sent
        if now.hedged:
            away_s = first_s(away_s, here_s, now.vain_share)
        cost_s: Floats = self.device_s * now.device_stretch + away_s + self.wait_s(now)
        return cost_s

    def period_s(self, now: Conditions) -> Floats:
        """Return the least time between samples, pipelined: of the busiest of all."""
        link_s = self.uplink_bytes * (8 / now.bandwidth_bps)
        server_s = self.server_s * now.server_stretch
        busiest_s: Floats = np.maximum(
            np.maximum(self.device_s * now.device_stretch, link_s), server_s
        )
        return busiest_s

    @property
    def away(self) -> tuple[Floats, Floats, Floats]:
        """What is demanded of link and server."""
        return self.sent, self.server_s, self.uplink_bytes

    def away_s(self, now: Conditions) -> Floats:
        """Return the time from the encoded boundary to the server's answer."""
        rtt_s = now.rtt_s + self.link_sigmas * now.rtt_sigma_s
        s_per_bit = 1 / now.bandwidth_bps + self.link_sigmas * now.s_per_bit_sigma
        return (
            self.sent * (rtt_s + now.queue_s)
            + self.server_s * now.server_stretch
            + self.uplink_bytes * (8 * s_per_bit)
        )


def _lesser(values: Any, most: Any) -> Any:
    """Return the lesser; of plain numbers the built-in takes a tenth of the time."""
    return min(values, most) if isinstance(values, float) else np.minimum(values, most)


def _greater(values: Any, least: Any) -> Any:
    return max(values, least) if isinstance(values, float) else np.maximum(values, least)


def first_s(away_s: Any, here_s: Any, vain_share: Any) -> Any:
    """Return how long it takes until server or device have answered, whoever is first.

    The device answers a ``vain_share``, one number or one for each, all the same.
    """
    first = _lesser(away_s, here_s)
    return first + vain_share * (here_s - first)


class Bill:
    """Demands of S candidates as one matrix: what each costs takes microseconds."""

    def __init__(self, demands: Demands) -> None:
        self._demands = demands
        away, vain_s = np.stack(demands.away), _IN_VAIN_S * demands.sent
        none = np.zeros_like(vain_s)
        self._alone = np.stack([demands.device_s, *demands.away])
        # Three forms side by side: away, here, and what is added to the lesser of these.
        self._raced = np.vstack(
            [
                np.hstack([away, np.zeros_like(away), np.zeros_like(away)]),
                np.hstack([none, demands.rest_s, none]),
                np.hstack([none, vain_s, none]),
                np.hstack([none, none, demands.device_s]),
                np.hstack([none, none, demands.rest_s]),
                np.hstack([none, none, vain_s]),
            ]
        )

    def cost_s(self, now: Conditions) -> Floats:
        """Return what `Demands.cost_s` does, (S,)."""
        stretch, s_per_byte = now.device_stretch, 8 / now.bandwidth_bps
        fixed_s = now.rtt_s + now.queue_s + now.price_s
        # The method of arrays takes a microsecond less than the operator @.
        if not now.hedged:
            weights = np.array((stretch, fixed_s, now.server_stretch, s_per_byte))
            alone: Floats = weights.dot(self._alone)
            return alone + self._demands.wait_s(now) if now.unevenness else alone
        vain = now.vain_share
        first = 1 - vain
        weights = np.array(
            (
                *(first * fixed_s, first * now.server_stretch, first * s_per_byte),
                *(first * stretch, first, stretch, vain * stretch, vain),
            )
        )
        away_s, here_s, added_s = weights.dot(self._raced).reshape(3, -1)
        raced: Floats = np.minimum(away_s, here_s) + added_s
        return raced + self._demands.wait_s(now) if now.unevenness else raced

"""Demands: what a sample asks of device, link and server; what conditions make of it is seconds.

Conditions multiply each demand with what it is worth now, so latency is a sum of products; only a
hedge, of which the lesser sum counts, and waiting for the device are more than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from partitioner.conditions import Conditions

__all__ = ["Bill", "Demands", "Floats"]

_MAYBE_IN_VAIN_S = 1e-4
"""What an upload costs whose answer may come too late, in seconds: next to nothing."""

_LEAST_FREE = 0.02
"""So much of its time a device is free at least: waits grow without limit where there is less."""

Floats = NDArray[np.float64]


class Demands(NamedTuple):
    """What a sample demands under C candidates, each (C,): in the mean, or one at a quantile.

    Seconds of the device, the share that is sent, seconds of the server, bytes of the uplink, the
    device's seconds in which it would answer what is sent by itself, and how many standard
    deviations slower than expected the link is that it meets. The last two are for waits, as long
    samples hold up those that come meanwhile: the mean square of the device's seconds, and what is
    added to it where the device answers by itself what is sent.
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

        That is Pollaczek's and Khinchine's mean for samples that come at random; for others it is
        taken to be in proportion to their unevenness, as Kingman's is where all take equally long,
        so that there is none where they come evenly. A device that does not keep up is taken for
        one that just does.
        """
        if not now.unevenness:
            return 0.0
        here = now.vain_share if now.hedged else 0.0
        busy_s2 = (self.device_s2 + here * self.rest_s2) * now.device_stretch**2
        free = _greater(1.0 - now.rate_hz * self._busy_s(now), _LEAST_FREE)
        return (now.unevenness * now.rate_hz / 2) * busy_s2 / free

    def _busy_s(self, now: Conditions) -> Any:
        """Return the device's seconds of a sample: it answers some that it sent to the end."""
        here = now.vain_share if now.hedged else 0.0
        return (self.device_s + here * self.rest_s) * now.device_stretch

    def raced_s(self, now: Conditions, vain_share: Any) -> Floats:
        """Return the latency if the device answers such a share of what is sent all the same.

        Where samples come unevenly it computes on only once an answer is late, so that it is not
        first before that.
        """
        away_s, here_s = self.away_s(now), self.rest_s * now.device_stretch
        if now.hedged and now.unevenness:
            away_s = away_s + vain_share * here_s
        elif now.hedged:
            away_s = _first_s(away_s, here_s, vain_share)
        return self.device_s * now.device_stretch + away_s

    def cost_s(self, now: Conditions) -> Floats:
        """Return the mean latency, and what others lose by what is sent at the server's price.

        The server's time is gone even where the device answers first. Where it might, what is sent
        counts a little besides: else nothing would tell a plan that sends in vain from one that
        sends nothing.
        """
        cost_s: Floats = self.latency_s(now) + self.sent * _sending_s(now)
        return cost_s

    def hedge_s(self, now: Conditions) -> Any:
        """Return for how long the device computes on, if it does, in the mean."""
        here_s = self.rest_s * now.device_stretch
        if now.unevenness:
            return now.vain_share * here_s
        return _first_s(self.away_s(now), here_s, now.vain_share)

    def period_s(self, now: Conditions) -> Floats:
        """Return the least time between samples, pipelined: of the busiest of all.

        The device is busy to the end with what it answers itself although it was sent.
        """
        link_s = self.uplink_bytes * (8 / now.bandwidth_bps)
        server_s = self.server_s * now.server_stretch
        busiest_s: Floats = _greater(_greater(self._busy_s(now), link_s), server_s)
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


def _first_s(away_s: Any, here_s: Any, vain_share: Any) -> Any:
    """Return how long it takes until server or device have answered, whoever is first.

    The device answers a ``vain_share``, one number or one for each, all the same.
    """
    first = _lesser(away_s, here_s)
    return first + vain_share * (here_s - first)


def _sending_s(now: Conditions) -> float:
    """Return what sending a sample costs beside its own latency."""
    return now.price_s + (_MAYBE_IN_VAIN_S if now.hedged else 0.0)


class Bill:
    """Demands of S candidates as one matrix: what each costs takes microseconds."""

    def __init__(self, demands: Demands) -> None:
        device, rest, away = demands.device_s, demands.rest_s, demands.away
        self._one, self._two = len(device), 2 * len(device)
        self._alone = np.stack([device, *away])
        # Away, here, and what is added to the lesser of these.
        self._raced = _side_by_side(away, [rest], [device, rest, demands.sent])
        # What is linear, how free the device is, and what waits for it.
        self._uneven = _side_by_side(
            [device, rest, *away],
            [np.ones_like(device), device, rest],
            [demands.device_s2, demands.rest_s2],
        )
        self._least_free = np.full(len(device), _LEAST_FREE)

    def cost_s(self, now: Conditions) -> Floats:
        """Return what `Demands.cost_s` does, (S,)."""
        if now.unevenness:
            return self._uneven_s(now)
        return self._raced_s(now) if now.hedged else self._alone_s(now)

    # All are microseconds: the method dot takes one less than the operator @, slices half of what
    # unpacking rows does, and numpy is quicker with arrays than with numbers.

    def _alone_s(self, now: Conditions) -> Floats:
        sent_s = now.rtt_s + now.queue_s + now.price_s
        weights = (now.device_stretch, sent_s, now.server_stretch, 8 / now.bandwidth_bps)
        cost_s: Floats = np.array(weights).dot(self._alone)
        return cost_s

    def _raced_s(self, now: Conditions) -> Floats:
        stretch, vain = now.device_stretch, now.vain_share
        first = 1 - vain
        away = first * (now.rtt_s + now.queue_s), first * now.server_stretch
        weights = (*away, first * 8 / now.bandwidth_bps, first * stretch, stretch, vain * stretch)
        forms = np.array((*weights, _sending_s(now))).dot(self._raced)
        one, two = self._one, self._two
        cost_s: Floats = np.minimum(forms[:one], forms[one:two]) + forms[two:]
        return cost_s

    def _uneven_s(self, now: Conditions) -> Floats:
        stretch, rate_hz = now.device_stretch, now.rate_hz
        here = now.vain_share if now.hedged else 0.0
        sent_s = now.rtt_s + now.queue_s + _sending_s(now)
        busy, square = -rate_hz * stretch, now.unevenness * rate_hz / 2 * stretch**2
        linear = stretch, here * stretch, sent_s, now.server_stretch, 8 / now.bandwidth_bps
        weights = (*linear, 1.0, busy, here * busy, square, here * square)
        forms = np.array(weights).dot(self._uneven)
        one, two = self._one, self._two
        free = np.maximum(forms[one:two], self._least_free)
        cost_s: Floats = forms[:one] + forms[two:] / free
        return cost_s


def _side_by_side(*forms: Sequence[Floats]) -> Floats:
    """Return one matrix that makes several linear forms of S candidates at once, (K, forms * S)."""
    rows = []
    for place, demands in enumerate(forms):
        for each in demands:
            row = np.zeros((len(forms), len(each)))
            row[place] = each
            rows.append(row.ravel())
    return np.stack(rows)

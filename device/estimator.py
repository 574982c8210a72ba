"""The link estimator: bandwidth and round trip from the traffic's own timestamps.

A message of B bytes comes back after ``r + 8 B x`` seconds, the server's own time left out, where
r is the round trip of an empty message and x the time per bit; one that waited for the uplink comes
back ``8 B x`` seconds after the one before it (a packet pair). A Kalman filter follows (r, x) as a
random walk. Sizes must differ for r and x to be told apart: probes see to that. Of a surprise (an
innovation beyond three standard deviations) only so much is believed; a second one in the same
direction widens the filter's uncertainty. So one stray delay changes little, and a changed link is
believed after two messages: the last samples predict the next second of a mobile link better than
long averages do.
"""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["LinkEstimate", "LinkEstimator"]

_MIN_RTT_S = 2e-4
_MIN_S_PER_BIT, _MAX_S_PER_BIT = 1e-10, 1e-3  # 10 Gbit/s to 1 kbit/s
_RTT_DRIFT_S = 0.005  # a second ago, r was within this
_RATE_DRIFT = 1.0  # and x within this share of itself,
_FAST_S_PER_BIT = 2e-8  # or of this: beyond 50 Mbit/s a rate cannot be told from a faster one
_NOISE_S, _NOISE_SHARE = 0.001, 0.1
_SURPRISE = 3.0
_TOLD = 0.3  # deviations of the noise: a message of a rate at which it takes less tells no more
_LUCK = 2.0  # the round trip is at most so many times what a message took that made it
_FORGOTTEN_S = 10.0  # what was so long ago is as little known as what was longer ago
_LEAP = 4.0  # a changed rate is taken to be within this many times the old one, then again


class LinkEstimate(NamedTuple):
    """What is believed of the link, with standard deviations.

    ``cautious_bps`` is the bandwidth if a bit takes one standard deviation longer than believed.
    """

    bandwidth_bps: float
    s_per_bit_sigma: float
    cautious_bps: float
    rtt_s: float
    rtt_sigma_s: float


class LinkEstimator:
    """A two-state Kalman filter; time comes in as an argument and never goes back."""

    __slots__ = (
        *("_backlog_bits", "_backlog_s", "_estimate", "_estimated_s", "_now", "_prr", "_prx"),
        *("_pxx", "_r", "_surprises", "_x"),
    )

    def __init__(self, bandwidth_bps: float = 10e6, rtt_s: float = 0.02) -> None:
        self._r, self._x = rtt_s, 1 / bandwidth_bps
        self._prr, self._prx, self._pxx = rtt_s**2, 0.0, self._x**2
        self._now = -math.inf
        self._backlog_bits, self._backlog_s = 0.0, -math.inf
        self._surprises = 0
        self._estimate: LinkEstimate | None = None
        self._estimated_s = -math.inf

    def sent(self, now_s: float, size_bytes: int) -> float:
        """Note that a message goes out; return the bits that lie before it on the uplink."""
        before_bits = self.before_bits(now_s)
        self._backlog_bits, self._backlog_s = before_bits + 8 * size_bytes, now_s
        return before_bits

    def before_bits(self, now_s: float) -> float:
        """Return the bits that lie on the uplink before what goes out now."""
        drained_bits = max(now_s - self._backlog_s, 0.0) / self._x
        return max(self._backlog_bits - drained_bits, 0.0)

    def withdrawn(self, bits: float) -> None:
        """Note that what was noted as sent did not go out."""
        self._backlog_bits = max(self._backlog_bits - bits, 0.0)

    def observe(self, now_s: float, bits: float, elapsed_s: float, trips: int = 1) -> None:
        """Take in that ``bits`` (those before the message included) came back after a time.

        With no ``trips``, 0, it is the time since what went out before them came back.
        """
        self._prr, self._pxx = self._drifted(now_s)
        self._now, self._estimate = max(self._now, now_s), None
        scale = max(self._x, _FAST_S_PER_BIT)
        noise_s = _NOISE_S + _NOISE_SHARE * elapsed_s
        surprise = elapsed_s - (trips * self._r + bits * self._x)
        limit = _SURPRISE * math.sqrt(self._variance(bits, trips) + noise_s**2)
        if abs(surprise) <= limit:
            self._surprises = 0
        elif self._is_second(surprise):
            self._prr += trips * (0.5 * surprise) ** 2
            if bits > 0:  # a short message says little about the rate, however late it is
                self._pxx += min(0.5 * abs(surprise) / bits, _LEAP * scale) ** 2
        else:
            surprise = math.copysign(limit, surprise)
        variance = self._variance(bits, trips) + noise_s**2
        gain_r = (trips * self._prr + bits * self._prx) / variance
        gain_x = (trips * self._prx + bits * self._pxx) / variance
        longest_s = max(_LUCK * elapsed_s if trips else math.inf, _MIN_RTT_S)
        self._r = min(max(self._r + gain_r * surprise, _MIN_RTT_S), longest_s)
        least = max(min(_TOLD * noise_s / max(bits, 1.0), self._x), _MIN_S_PER_BIT)
        self._x = min(max(self._x + gain_x * surprise, least), _MAX_S_PER_BIT)
        prr, prx, pxx = self._prr, self._prx, self._pxx
        self._prr = max(prr - gain_r * (trips * prr + bits * prx), 1e-12)
        self._prx = prx - gain_r * (trips * prx + bits * pxx)
        self._pxx = max(pxx - gain_x * (trips * prx + bits * pxx), 1e-30)

    def observe_silence(self, now_s: float, bits: float, waited_s: float) -> None:
        """Take in that ``bits`` have not come back yet; matters if they should have."""
        if waited_s > self._r + bits * self._x:
            self.observe(now_s, bits, waited_s)

    @property
    def knows(self) -> bool:
        """Whether anything was observed; else what is believed is where it begins."""
        return self._now > -math.inf

    @property
    def bandwidth_bps(self) -> float:
        """The bandwidth that is believed."""
        return 1 / self._x

    @property
    def surprised(self) -> bool:
        """Whether the last observation was not what was expected."""
        return self._surprises != 0

    def forget_backlog(self, now_s: float) -> None:
        """Start anew with an empty uplink, after a reconnection."""
        self._backlog_bits, self._backlog_s = 0.0, now_s

    def doubt(self) -> None:
        """Hold what is believed for as uncertain as at the start: it is another server's link.

        The values stay, because the first hop, which is mostly the slowest, is likely the same.
        """
        self._prr, self._prx = max(self._prr, self._r**2), 0.0
        self._pxx = max(self._pxx, self._x**2)
        self._surprises, self._estimate = 0, None

    def estimate(self, now_s: float) -> LinkEstimate:
        """Return what is believed now, which is the less certain the longer nothing was heard."""
        if self._estimate is None or now_s != self._estimated_s:  # it is asked for several times
            prr, pxx = self._drifted(now_s)
            x_sigma = math.sqrt(pxx)
            self._estimated_s = now_s
            self._estimate = LinkEstimate(
                bandwidth_bps=1 / self._x,
                s_per_bit_sigma=x_sigma,
                cautious_bps=1 / (self._x + x_sigma),
                rtt_s=self._r,
                rtt_sigma_s=math.sqrt(prr),
            )
        return self._estimate

    def _drifted(self, now_s: float) -> tuple[float, float]:
        """Return the variances of r and x by now."""
        waited_s = now_s - self._now if self._now > -math.inf else 0.0
        drift_s = min(max(waited_s, 0.0), _FORGOTTEN_S)
        scale = max(self._x, _FAST_S_PER_BIT)
        rate_drift = _RATE_DRIFT * scale
        return self._prr + _RTT_DRIFT_S**2 * drift_s, self._pxx + rate_drift**2 * drift_s

    def _is_second(self, surprise: float) -> bool:
        """Count a surprise, and tell whether the one before it went the same way."""
        sign = 1 if surprise > 0 else -1
        self._surprises = self._surprises + sign if self._surprises * sign > 0 else sign
        return abs(self._surprises) > 1

    def _variance(self, bits: float, trips: int) -> float:
        return trips * (self._prr + 2 * bits * self._prx) + bits**2 * self._pxx

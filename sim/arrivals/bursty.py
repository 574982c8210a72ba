"""Requests that come in bursts: a Poisson process whose rate switches between two values.

This is the two-state Markov-modulated Poisson process of Heffes and Lucantoni (IEEE JSAC 4(6),
1986). With the rates b in a burst and c between, the share p of the time that is a burst, the mean
lengths t of a burst and u of a calm, and the mean rate m = p b + (1 - p) c, the variance of the
number of requests in a long time is 1 + 2 p (1 - p) (b - c)^2 / (m (1 / t + 1 / u)) times its mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Literal

from pydantic import Field, model_validator

from offramp.quantities import figure
from sim.arrivals.arrival import Arrivals, ArrivalSettings, RateHz

__all__ = ["Bursty", "BurstySettings"]

_LEAST_REQUESTS = 0.01
"""In a burst, in the mean: with fewer there is no burst to see, and calms without end to make."""


class BurstySettings(ArrivalSettings):
    """The mean rate, how many times as fast requests come in a burst, and its mean length.

    Between bursts they come at `calm_hz`, by default not at all.
    """

    kind: Literal["bursty"] = "bursty"
    rate_hz: RateHz
    burstiness: float = Field(gt=1, le=1e6)
    burst_s: float = Field(ge=0.001)
    calm_hz: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _calmer(self) -> BurstySettings:
        if self.calm_hz >= self.rate_hz:
            raise ValueError(
                f"calm_hz must be below rate_hz {figure(self.rate_hz)}, the mean, not "
                f"{figure(self.calm_hz)}"
            )
        return self

    @model_validator(mode="after")
    def _bursts_hold_requests(self) -> BurstySettings:
        least_s = _LEAST_REQUESTS / (self.burstiness * self.rate_hz)
        if self.burst_s < least_s:
            raise ValueError(
                f"bursts of burst_s {figure(self.burst_s)} hold next to no request at "
                f"{figure(self.burstiness * self.rate_hz)} Hz; make burst_s at least "
                f"{figure(least_s)}, or take poisson"
            )
        return self

    @property
    def burst_share(self) -> float:
        """The share of the time that is a burst, so that `rate_hz` is the mean."""
        return (self.rate_hz - self.calm_hz) / (self.burstiness * self.rate_hz - self.calm_hz)

    @property
    def calm_s(self) -> float:
        """The mean length of a calm between two bursts."""
        return self.burst_s * (1 - self.burst_share) / self.burst_share


class Bursty(Arrivals):
    """A Poisson process in each stay; stays last exponential times, bursts and calms in turn."""

    Settings = BurstySettings

    def __init__(self, settings: BurstySettings) -> None:
        self._settings = settings
        self.mean_rate_hz = settings.rate_hz
        self._rates_hz = (settings.calm_hz, settings.burstiness * settings.rate_hz)
        self._stays_s = (settings.calm_s, settings.burst_s)

    def times_s(self, seed: str) -> Iterator[float]:
        """The times of all requests in seconds from a start at 0: endless, and never falling."""
        random, now_s = Random(seed), 0.0
        bursting = random.random() < self._settings.burst_share
        while True:
            end_s = now_s + random.expovariate(1 / self._stays_s[bursting])
            if rate_hz := self._rates_hz[bursting]:
                # Neither the last request nor the last switch says when the next one comes.
                while (now_s := now_s + random.expovariate(rate_hz)) < end_s:
                    yield now_s
            now_s, bursting = end_s, not bursting

"""What a description says about a generated rate."""

from __future__ import annotations

from pydantic import Field, model_validator

from offramp.errors import ConfigError
from offramp.quantities import figure
from offramp.settings import Settings
from sim.beside import FileBeside
from sim.rates.fitted import SHORTEST_S, fit_markov
from sim.rates.gilbert_elliott import gilbert_elliott
from sim.rates.given import chain_of
from sim.rates.markov import LTE, MarkovRate, MarkovState
from sim.rates.statistics import RateStatistics
from sim.traces import read_trace

__all__ = ["GilbertElliottSettings", "MarkovSettings", "StateSettings"]


class StateSettings(Settings):
    """One state of a Markov rate; `next` weighs the states after it, by default all others."""

    bps: float = Field(ge=0)
    dwell_s: float = Field(ge=0.001)
    next: tuple[float, ...] | None = None


class MarkovSettings(Settings):
    """A Markov rate; by default a chain like LTE.

    Either its states are written down, or it is fitted to a recorded trace that it is `like`, or
    to given statistics of its means over seconds.
    """

    states: tuple[StateSettings, ...] | None = Field(default=None, min_length=1)
    like: FileBeside | None = None
    mean_bps: float | None = Field(default=None, gt=0)
    cov: float | None = Field(default=None, gt=0)
    lag1: float | None = Field(default=None, gt=0, lt=1)

    def chain(self) -> tuple[MarkovState, ...]:
        """The states as the generator takes them; reads the trace if there is one."""
        if self.like is not None:
            trace = read_trace(self.like)
            if trace.period_s < SHORTEST_S:
                raise ConfigError(
                    f"trace {self.like} lasts {figure(trace.period_s)} s: fit a chain to one of at "
                    f"least {SHORTEST_S:g} s"
                )
            return fit_markov([trace])
        if self.mean_bps and self.cov and self.lag1:
            return chain_of(RateStatistics(self.mean_bps, self.cov, self.lag1))
        return LTE if self.states is None else _written(self.states)

    @model_validator(mode="after")
    def _one_way(self) -> MarkovSettings:
        statistics = [self.mean_bps, self.cov, self.lag1]
        if 0 < statistics.count(None) < len(statistics):
            raise ValueError("given statistics are mean_bps, cov and lag1, all three")
        if [self.states, self.like, self.mean_bps].count(None) < 2:
            raise ValueError("a Markov rate takes one of states, like, and mean_bps, cov and lag1")
        if self.like is None:
            MarkovRate(self.chain(), seed="")
        return self


class GilbertElliottSettings(Settings):
    """A rate with a good and a bad state: its mean, and how much of the time is bad."""

    mean_bps: float = Field(gt=0)
    bad_share: float = Field(gt=0, lt=1)
    bad_s: float = Field(ge=0.001)
    bad_bps: float = Field(default=0.0, ge=0)

    def chain(self) -> tuple[MarkovState, ...]:
        """The states as the generator takes them."""
        return gilbert_elliott(self.mean_bps, self.bad_share, self.bad_s, self.bad_bps)

    @model_validator(mode="after")
    def _possible(self) -> GilbertElliottSettings:
        self.chain()
        return self


def _written(states: tuple[StateSettings, ...]) -> tuple[MarkovState, ...]:
    alone = len(states) == 1
    return tuple(
        MarkovState(
            state.bps,
            state.dwell_s,
            state.next or tuple(float(one != other or alone) for other in range(len(states))),
        )
        for one, state in enumerate(states)
    )

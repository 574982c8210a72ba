"""A limit on how many bytes pass per second."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from offramp.settings import Settings
from sim.link.condition import Condition, ConditionSettings
from sim.link.course import Course
from sim.rates.markov import LTE, MarkovRate, MarkovState
from sim.rates.source import UNLIMITED, ConstantRate, RateSource
from sim.rates.switched import SwitchedRate
from sim.traces import read_trace

__all__ = ["MarkovSettings", "Rate", "RateSettings", "StateSettings"]


class StateSettings(Settings):
    """One state of a Markov rate; `next` weighs the states after it, by default all others."""

    bps: float = Field(ge=0)
    dwell_s: float = Field(gt=0)
    next: tuple[float, ...] | None = None


class MarkovSettings(Settings):
    """The states of a Markov rate, which starts in the first; by default a chain like LTE."""

    states: tuple[StateSettings, ...] | None = Field(default=None, min_length=1)

    def chain(self) -> tuple[MarkovState, ...]:
        """The states as the generator takes them."""
        if self.states is None:
            return LTE
        others = [
            tuple(float(one != other or len(self.states) == 1) for other in range(len(self.states)))
            for one in range(len(self.states))
        ]
        return tuple(
            MarkovState(state.bps, state.dwell_s, state.next or weights)
            for state, weights in zip(self.states, others, strict=True)
        )

    @model_validator(mode="after")
    def _alive(self) -> MarkovSettings:
        MarkovRate(self.chain(), seed="")
        return self


class RateSettings(ConditionSettings):
    """Where the rate comes from: a constant, a recorded trace, or a Markov chain."""

    kind: Literal["rate"] = "rate"
    bps: float | None = Field(default=None, gt=0)
    trace: Path | None = None
    markov: MarkovSettings | None = None

    @field_validator("trace")
    @classmethod
    def _beside_the_description(cls, trace: Path | None, info: ValidationInfo) -> Path | None:
        folder = (info.context or {}).get("folder")
        return folder / trace if folder and trace else trace

    @model_validator(mode="after")
    def _one_source(self) -> RateSettings:
        if sum(source is not None for source in (self.bps, self.trace, self.markov)) != 1:
            raise ValueError("a rate takes exactly one of bps, trace and markov")
        return self

    def source(self, seed: str) -> RateSource:
        """The rate itself; reads the trace if there is one."""
        if self.trace is not None:
            return read_trace(self.trace)
        if self.markov is not None:
            return MarkovRate(self.markov.chain(), seed)
        return ConstantRate(self.bps or 0.0)


class Rate(Condition):
    """Bytes are served one after the other, through the integral of the rate.

    In an outage of its direction nothing is served.
    """

    Settings = RateSettings

    def __init__(self, course: Course[RateSettings], seed: str) -> None:
        sources = [
            settings.source(f"{seed}/{phase}") if settings else UNLIMITED
            for phase, settings in enumerate(course.settings)
        ]
        self.served = SwitchedRate(course.phases, sources, course.outages)

    def leave_s(self, now_s: float, nbytes: int) -> float:
        """When the last of `nbytes` is served, which begins once all before them are."""
        return self.served.finish_s(max(now_s, self._last_s), nbytes)

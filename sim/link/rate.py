"""A limit on how many bytes pass per second."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import inf
from typing import Literal

from pydantic import Field, model_validator

from sim.beside import FileBeside
from sim.link.condition import Condition, ConditionSettings
from sim.link.course import Course
from sim.rates.markov import MarkovRate, MarkovState
from sim.rates.settings import GilbertElliottSettings, MarkovSettings
from sim.rates.source import UNLIMITED, ConstantRate, RateSource
from sim.rates.switched import SwitchedRate
from sim.rates.trace import RateTrace
from sim.traces import read_trace

__all__ = ["Rate", "RateSettings"]


class RateSettings(ConditionSettings):
    """Where the rate comes from: a constant, a recorded trace, or a seeded generator."""

    kind: Literal["rate"] = "rate"
    bps: float | None = Field(default=None, gt=0)
    trace: FileBeside | None = None
    markov: MarkovSettings | None = None
    gilbert_elliott: GilbertElliottSettings | None = None

    @model_validator(mode="after")
    def _one_source(self) -> RateSettings:
        if [self.bps, self.trace, self.markov, self.gilbert_elliott].count(None) != 3:
            raise ValueError("a rate takes exactly one of bps, trace, markov and gilbert_elliott")
        return self

    @cached_property
    def recorded(self) -> RateTrace:
        """The trace, read once for all links that share these settings."""
        assert self.trace is not None
        return read_trace(self.trace)

    @cached_property
    def chain(self) -> tuple[MarkovState, ...]:
        """The states of the generated rate, fitted once for all links."""
        generated = self.markov or self.gilbert_elliott
        assert generated is not None
        return generated.chain()

    def source(self, seed: str) -> RateSource:
        """The rate itself; reads the trace if there is one."""
        if self.bps is not None:
            return ConstantRate(self.bps)
        return self.recorded if self.trace is not None else MarkovRate(self.chain, seed)


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

    def release_train(self, times_s: Sequence[float], sizes: Sequence[int]) -> Sequence[float]:
        """As `Condition.release_train`: each packet is served once the one before it is."""
        source = self.served.only or self.served
        if isinstance(source, ConstantRate):  # each message asks for it
            released = source.finish_train(self._last_s, times_s, sizes)
            self._last_s = released[-1]
            return released
        last_s, finish_s, released = self._last_s, source.finish_s, []
        for time_s, nbytes in zip(times_s, sizes, strict=True):
            begun_s = time_s if time_s > last_s else last_s
            last_s = finish_s(begun_s, nbytes) if begun_s < inf else inf
            released.append(last_s)
        self._last_s = last_s
        return released

"""Short interruptions, as when a phone moves from one cell to the next.

Measured in LTE networks they last tens to hundreds of milliseconds (Han et al., "Measurement and
Stochastic Modeling of Handover Delay and Interruption Time of Smartphone Real-Time Applications on
LTE Networks", IEEE Communications Magazine 53(3), 2015). What piled up meanwhile makes the first
bytes after it late as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import count
from math import exp, inf
from random import Random
from typing import Literal

from pydantic import Field, model_validator

from sim.link.condition import Condition, ConditionSettings
from sim.link.course import Course
from sim.phases import Span
from sim.rates.switched import Window

__all__ = ["Handover", "HandoverSettings"]

_STAYS, _WINDOWS = 8, 32  # so many are held; earlier ones are made again when they are asked for


class HandoverSettings(ConditionSettings):
    """How long a hand-over interrupts the link, how often, and the extra delay that it leaves.

    `seconds` and `interval_s`, from begin to begin, are means: an interruption and the time until
    the next are exponential. With `regular` they are the same every time, the first after one
    interval. The extra delay falls to 1/e of `extra_s` in `decay_s`.
    """

    kind: Literal["handover"] = "handover"
    seconds: float = Field(ge=0.001)
    interval_s: float
    regular: bool = False
    extra_s: float = Field(default=0.0, ge=0)
    decay_s: float = Field(default=0.1, gt=0)

    @model_validator(mode="after")
    def _ends_before_the_next(self) -> HandoverSettings:
        if self.interval_s <= self.seconds:
            raise ValueError(
                f"interval_s must be above seconds {self.seconds:g}, not {self.interval_s:g}"
            )
        return self

    def windows(self, seed: str) -> Iterator[Window]:
        """Every interruption from a start at 0, in order; endless."""
        if self.regular:
            for number in count(1):
                yield number * self.interval_s, number * self.interval_s + self.seconds
        random, end_s = Random(seed), 0.0
        while True:
            start_s = end_s + random.expovariate(1 / (self.interval_s - self.seconds))
            end_s = start_s + random.expovariate(1 / self.seconds)
            yield start_s, end_s


class _Stay:
    """The interruptions of one stay in a phase, for whoever asks out of order.

    ``begin`` gives them from the stay's begin on; times are the link's.
    """

    def __init__(self, begin: Callable[[], Iterator[Window]], origin_s: float) -> None:
        self._begin, self._origin_s = begin, origin_s
        self._start()

    def last_end_s(self, now_s: float) -> float:
        """When the last interruption that began by now ends; long ago if there is none."""
        if self._dropped and now_s < self._held[0][0]:
            self._start()
        while self._held[-1][0] <= now_s:
            self._read()
        return next((end_s for start_s, end_s in reversed(self._held) if start_s <= now_s), -inf)

    def _start(self) -> None:
        self._windows, self._dropped = self._begin(), False
        self._held: deque[Window] = deque(maxlen=_WINDOWS)
        self._read()

    def _read(self) -> None:
        start_s, end_s = next(self._windows)
        self._dropped |= len(self._held) == _WINDOWS
        self._held.append((self._origin_s + start_s, self._origin_s + end_s))


class Handover(Condition):
    """Bytes that would leave in an interruption leave at its end, and those after it a bit late.

    Every stay in a phase has hand-overs of its own, none of which outlasts it.
    """

    Settings = HandoverSettings

    def __init__(self, course: Course[HandoverSettings], seed: str) -> None:
        self._course, self._seed = course, seed
        self._span: Span | None = None
        self._stay = lru_cache(_STAYS)(self._new_stay)

    def leave_s(self, now_s: float, nbytes: int) -> float:
        """When `nbytes` that enter at `now_s` would leave if nothing were ahead of them."""
        span = self._course.phases.at(now_s)
        settings = self._course.settings[span.index]
        if settings is None:
            return now_s
        if span != self._span:
            self._span, self._end_s = span, -inf
            self._windows = settings.windows(f"{self._seed}/{span.start_s!r}")
            self._next = next(self._windows)
        within_s = now_s - span.start_s
        while self._next[0] <= within_s:
            self._end_s, self._next = self._next[1], next(self._windows)
        if within_s < self._end_s:
            return min(span.start_s + self._end_s, span.end_s) + settings.extra_s
        return now_s + settings.extra_s * exp((self._end_s - within_s) / settings.decay_s)

    def mean_leave_s(self, now_s: float, nbytes: int, spread_s: float = 0.0) -> float:
        """As `Condition.mean_leave_s`: hand-overs come when they will, whoever asks."""
        span = self._course.phases.at(now_s)
        settings = self._course.settings[span.index]
        if settings is None:
            return now_s
        end_s = self._stay(span).last_end_s(now_s)
        if now_s < end_s:
            return min(end_s, span.end_s) + settings.extra_s
        return now_s + settings.extra_s * exp((end_s - now_s) / settings.decay_s)

    def _new_stay(self, span: Span) -> _Stay:
        settings = self._course.settings[span.index]
        assert settings is not None
        return _Stay(partial(settings.windows, f"{self._seed}/{span.start_s!r}"), span.start_s)

    def release_train(self, times_s: Sequence[float], sizes: Sequence[int]) -> Sequence[float]:
        """As `Condition.release_train`: at once where the next interruption is behind them all."""
        settings, span = self._course.only, self._span
        if settings is None or span is None or times_s[-1] == inf:
            return super().release_train(times_s, sizes)
        began_s, end_s, extra_s = span.start_s, self._end_s, settings.extra_s
        if times_s[0] - began_s < end_s or times_s[-1] - began_s >= self._next[0]:
            return super().release_train(times_s, sizes)
        if extra_s == 0:
            return self.in_order(times_s)
        decay_s = settings.decay_s
        return self.in_order(
            [one + extra_s * exp((end_s - (one - began_s)) / decay_s) for one in times_s]
        )

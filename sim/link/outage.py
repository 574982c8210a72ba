"""Windows of time in which nothing is delivered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Literal

from pydantic import field_validator

from sim.link.condition import Condition, ConditionSettings
from sim.link.course import Course
from sim.rates.switched import Window

__all__ = ["Blackout", "Outage", "OutageSettings"]


class OutageSettings(ConditionSettings):
    """When the link is out, counted from the begin of its phase; without windows, all of it.

    With `reset` every connection breaks at the begin, and none can be made before the end.
    """

    kind: Literal["outage"] = "outage"
    windows_s: tuple[Window, ...] = ()
    reset: bool = False

    @field_validator("windows_s")
    @classmethod
    def _sorted(cls, windows: tuple[Window, ...]) -> tuple[Window, ...]:
        for start_s, end_s in windows:
            if not 0 <= start_s < end_s:
                raise ValueError(f"window [{start_s}, {end_s}] must start at 0 or later, then end")
        for (_, before_s), (start_s, _) in pairwise(windows):
            if start_s < before_s:
                raise ValueError(f"the window that starts at {start_s} must not start earlier")
        return windows

    def windows_in(self, phase_s: float) -> tuple[Window, ...]:
        """The windows of a phase that lasts `phase_s`, counted from its begin."""
        windows = self.windows_s or ((0.0, phase_s),)
        if windows[-1][1] > phase_s:
            raise ValueError(f"the window that ends at {windows[-1][1]} outlasts its phase")
        return windows


@dataclass(frozen=True)
class Blackout:
    """One outage on the link's clock, and whether it breaks connections."""

    start_s: float
    end_s: float
    reset: bool


class Outage(Condition):
    """Bytes that would leave in a window leave at its end."""

    Settings = OutageSettings

    def __init__(self, course: Course[OutageSettings], seed: str) -> None:
        self._phases = course.phases
        self._windows = [
            [(*window, settings.reset) for window in settings.windows_in(seconds)]
            if settings
            else []
            for seconds, settings in zip(course.phases.seconds, course.settings, strict=True)
        ]

    @property
    def resets(self) -> bool:
        """Whether any of its outages breaks connections."""
        return any(reset for windows in self._windows for *_, reset in windows)

    def leave_s(self, now_s: float, nbytes: int) -> float:
        """When `nbytes` that enter at `now_s` would leave if nothing were ahead of them."""
        entered_s = now_s
        for blackout in self.blackouts(now_s):
            if now_s < blackout.start_s:
                break
            now_s = blackout.end_s
            if now_s - entered_s > self._phases.period_s:
                return inf
        return now_s

    def blackouts(self, from_s: float) -> Iterator[Blackout]:
        """Every outage that ends after `from_s`, in order; endless where the phases repeat."""
        if not any(self._windows):
            return
        for span in self._phases.spans(from_s):
            for start_s, end_s, reset in self._windows[span.index]:
                out_until_s = min(span.start_s + end_s, span.end_s)
                if out_until_s > from_s:
                    yield Blackout(span.start_s + start_s, out_until_s, reset)

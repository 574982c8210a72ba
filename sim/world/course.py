"""Load courses: how much longer a machine takes than its profile says, over time."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import Annotated

from pydantic import Field, model_validator

from offramp.settings import Settings

__all__ = ["LoadCourse", "LoadStep"]


class LoadStep(Settings):
    """From a time on, everything takes ``stretch`` times what the profile says.

    A machine that has a share of its processor left stretches by 1 / share; one that throttles to
    half of its clock, by 2.
    """

    from_s: Annotated[float, Field(ge=0)]
    stretch: Annotated[float, Field(gt=0, le=1000)]


class LoadCourse(Settings):
    """Steps in the order of their times, 1 before the first; they begin again every ``repeat_s``.

    What begins in a step is computed at that step's pace to its end.
    """

    steps: tuple[LoadStep, ...] = ()
    repeat_s: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _sorted(self) -> LoadCourse:
        for before, step in pairwise(self.steps):
            if step.from_s <= before.from_s:
                raise ValueError(f"the step from {step.from_s:g} s must not come so early")
        if self.repeat_s is not None and self.steps and self.steps[-1].from_s >= self.repeat_s:
            raise ValueError(f"the last step begins after repeat_s {self.repeat_s:g}")
        return self

    @property
    def least_stretch(self) -> float:
        """The stretch of its quickest step; at most 1."""
        return min([1.0, *(step.stretch for step in self.steps)])

    def stretch(self, now_s: float) -> float:
        """Return how many times longer what begins now takes."""
        if not self.steps:
            return 1.0
        if self.repeat_s is not None:
            now_s %= self.repeat_s
        at = bisect_right(self.steps, now_s, key=lambda step: step.from_s)
        return self.steps[at - 1].stretch if at else 1.0

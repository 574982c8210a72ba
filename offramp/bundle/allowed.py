"""Allowed plans: those that calibration left a bundle with, and what is promised of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from offramp.quantities import say_bytes, say_time

__all__ = ["MOST_ALLOWED", "Allowed", "AllowedPlan", "Limits", "Promised", "allowed_lines"]

MOST_ALLOWED = 1000
"""The most plans of a bundle: a device evaluates all of them when it takes the bundle up."""

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Drop = Annotated[float, Field(ge=-1, le=1)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AllowedPlan(_Model):
    """A plan that devices may make: thresholds for the exits up to a cut, and a codec level.

    ``level`` is None where nothing is sent: at the last cut, or where every sample that comes to
    the last exit leaves there, whose threshold is 0. What follows was measured on samples that did
    not choose the plan: ``accuracy_drop``, with its 95% interval unless the plan answers as the
    whole model does, ``left_share``, how many of them left at an exit, and by the limits' machine
    ``mean_s``, the device time.
    """

    cut: Count
    thresholds: tuple[Annotated[float, Field(ge=0, le=2)], ...]
    level: str | None = None
    accuracy_drop: Drop
    drop_interval: tuple[Drop, Drop] | None = None
    left_share: Annotated[float, Field(ge=0, le=1)]
    mean_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class Promised(_Model):
    """The accuracy of the plans drops by at most this much, with this probability, all at once.

    The drop is against the whole model on the device, as a share of all samples; the probability is
    over the choice of the samples that tested. `docs/guarantee.md` says what it rests on.
    """

    max_accuracy_drop: Share
    confidence: Share


class Limits(_Model):
    """What the plans may take of a device: time in the mean and at most, memory, samples sent.

    Times hold on the ``machine`` whose profile they were chosen by. None sets no limit.
    """

    mean_s: Amount | None = None
    peak_s: Amount | None = None
    memory_bytes: Annotated[int, Field(ge=1)] | None = None
    sent_share: Annotated[float, Field(ge=0, le=1)] | None = None
    machine: str | None = None


class Allowed(_Model):
    """The only plans that devices make, measured on ``samples`` that did not choose them.

    Without ``promised``, nothing is promised of them: they are the most accurate ones found within
    the ``limits``. ``reach`` is the deepest boundary up to which segments fit into that of memory.
    """

    promised: Promised | None = None
    limits: Limits | None = None
    reach: Count | None = None
    samples: Annotated[int, Field(ge=1)]
    plans: Annotated[tuple[AllowedPlan, ...], Field(min_length=1, max_length=MOST_ALLOWED)]

    @model_validator(mode="after")
    def _each_once(self) -> Allowed:
        if len({(p.cut, p.level, p.thresholds) for p in self.plans}) < len(self.plans):
            raise ValueError("an allowed plan is there twice")
        return self

    def thresholds(self, cut: int, level: str | None) -> tuple[tuple[float, ...], ...]:
        """Return the allowed threshold vectors of a cut and codec level."""
        return self._by_place.get((cut, level), ())

    @cached_property
    def _by_place(self) -> dict[tuple[int, str | None], tuple[tuple[float, ...], ...]]:
        found: dict[tuple[int, str | None], list[tuple[float, ...]]] = defaultdict(list)
        for plan in self.plans:
            found[plan.cut, plan.level].append(plan.thresholds)
        return {place: tuple(vectors) for place, vectors in found.items()}


def allowed_lines(allowed: Allowed) -> list[str]:
    """Say in lines which plans are allowed, and what is promised of them."""
    cuts = ", ".join(map(str, sorted({plan.cut for plan in allowed.plans})))
    lines = []
    if allowed.promised:
        lines.append(
            f"accuracy at most {allowed.promised.max_accuracy_drop:.2%} below the whole model's, "
            f"with confidence {allowed.promised.confidence:.3g}, tested on {allowed.samples} "
            "samples"
        )
    if allowed.limits:
        lines.append(f"chosen within: {'; '.join(_limit_words(allowed.limits))}")
    if not allowed.promised:
        drops = [plan.drop_interval or (0.0, 0.0) for plan in allowed.plans]
        lines.append(
            f"no accuracy is promised; on {allowed.samples} samples that did not choose, plans "
            f"lose up to {max(plan.accuracy_drop for plan in allowed.plans):.2%} (95% interval of "
            f"the worst up to {max(high for _, high in drops):.2%})"
        )
    return [*lines, f"allowed: {len(allowed.plans)} plans at the cuts {cuts}"]


def _limit_words(limits: Limits) -> Iterator[str]:
    where = f" on {limits.machine}" if limits.machine else ""
    if limits.mean_s is not None:
        yield f"{say_time(limits.mean_s)} of device time in the mean{where}"
    if limits.peak_s is not None:
        yield f"{say_time(limits.peak_s)} of device time at most{where}"
    if limits.memory_bytes is not None:
        yield f"{say_bytes(limits.memory_bytes)} of device memory"
    if limits.sent_share is not None:
        yield f"{limits.sent_share * 100:g}% of the samples sent"

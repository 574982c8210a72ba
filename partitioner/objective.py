"""The objective: what a plan is to minimise, and what it must keep."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from offramp.settings import Settings

__all__ = ["Objective"]


class Objective(Settings):
    """Least mean or 95th-percentile latency under an accuracy floor and a deadline.

    ``max_accuracy_drop`` is the share of samples that may be lost against the whole model on the
    calibration samples; ``min_accuracy`` an absolute floor. At most ``max_miss_share`` of the
    samples may be later than ``deadline_s``.
    """

    minimise: Literal["mean", "p95"] = "mean"
    max_accuracy_drop: Annotated[float, Field(ge=0, le=1)] | None = 0.01
    min_accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    deadline_s: Annotated[float, Field(gt=0)] | None = None
    max_miss_share: Annotated[float, Field(ge=0, lt=1)] = 0.01

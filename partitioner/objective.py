"""The objective: what a plan is to minimise, and what it must keep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic.fields import FieldInfo

from offramp.settings import Settings
from partitioner.measures import get_measure, get_quantile

__all__ = ["HEAD_ALONE", "Limits", "Objective", "Tail"]

HEAD_ALONE = (
    "memory counts what runs before the cut alone, so the device does not compute on while an "
    "answer is under way; to answer by itself it loads the whole model all the same, unless the "
    "bundle comes from offramp calibrate --max-memory"
)
"""What is said where memory is limited or least."""

Amount = Annotated[float, Field(ge=0, le=1e15)]
Share = Annotated[float, Field(ge=0, le=1)]

_MISS_SHARE = 0.01


class Limits(Settings):
    """The most that measures may come to, each named with its unit (`partitioner.measures`).

    A quantile that is no field, such as p99.9_s, may be limited too.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Amount | None]

    mean_s: Amount | None = None
    p50_s: Amount | None = None
    p90_s: Amount | None = None
    p95_s: Amount | None = None
    p99_s: Amount | None = None
    server_s: Amount | None = None
    uplink_bytes: Amount | None = None
    period_s: Amount | None = None
    energy_j: Amount | None = None
    memory_bytes: Amount | None = None

    @classmethod
    def known(cls, keys: Iterable[str]) -> Mapping[str, FieldInfo]:
        """Return the fields, and those of ``keys`` that are called like quantiles."""
        fields = cls.model_fields
        names = {key: key.removesuffix("_s") for key in keys if key.endswith("_s")}
        alike = {key: fields["p99_s"] for key, name in names.items() if get_quantile(name)}
        return {**alike, **fields}

    def given(self) -> dict[str, float]:
        """Return the limits there are, by measure."""
        limits = {name.rpartition("_")[0]: limit for name, limit in self if limit is not None}
        return {name: float(limit) for name, limit in limits.items()}


@dataclass(frozen=True)
class Tail:
    """What a ``share`` of the samples, as they come by latency, must not exceed: ``latest_s``."""

    share: float
    latest_s: float


class Objective(Settings):
    """Least latency, or another measure, under an accuracy floor, a deadline and limits.

    ``max_accuracy_drop`` is the share of samples that may be lost against the whole model on the
    calibration samples; ``min_accuracy`` an absolute floor. At most ``max_miss_share`` of the
    samples may be later than ``deadline_s``: 1% by default, or as many as there are where late
    samples are what is minimised.
    """

    minimise: str = "mean"
    max_accuracy_drop: Share | None = 0.01
    min_accuracy: Share | None = None
    deadline_s: Annotated[float, Field(gt=0, le=1e6)] | None = None
    max_miss_share: Annotated[float, Field(ge=0, lt=1)] | None = None
    limits: Limits = Limits()

    @field_validator("minimise")
    @classmethod
    def _is_a_measure(cls, name: str) -> str:
        return get_measure(name).name

    @model_validator(mode="after")
    def _has_a_deadline(self) -> Objective:
        if self.minimise == "late" and self.deadline_s is None:
            raise ValueError("to minimise late samples it needs a deadline_s; give one")
        return self

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, name) for name in type(self).model_fields))

    def __hash__(self) -> int:
        return self._hash  # every decision looks up by it what follows from the objective

    def __getstate__(self) -> dict[Any, Any]:
        """Leave out what is derived: in another process strings have other hashes."""
        state = super().__getstate__()
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return {**state, "__dict__": fields}

    @cached_property
    def tails(self) -> tuple[Tail, ...]:
        """The deadline and the limits of quantiles: what most of the samples must keep."""
        tails = [
            Tail(share, limit)
            for name, limit in self.limits.given().items()
            if (share := get_quantile(name)) is not None
        ]
        if self.last is not None:
            tails.append(self.last)
        return tuple(tails)

    @cached_property
    def last(self) -> Tail | None:
        """The deadline for all samples that may not miss it; None if it is no limit."""
        share = self.most_late
        if share is None or self.deadline_s is None:
            return None
        return Tail(1 - share, self.deadline_s)

    @property
    def most_late(self) -> float | None:
        """The share of the samples that may be late; None if no deadline limits plans."""
        if self.deadline_s is None or (self.minimise == "late" and self.max_miss_share is None):
            return None
        return _MISS_SHARE if self.max_miss_share is None else self.max_miss_share

    @cached_property
    def is_quick(self) -> bool:
        """Whether mean latency is minimised, and nothing else limited than accuracy and tails."""
        limited = self.limits.given()
        return self.minimise == "mean" and all(get_quantile(name) is not None for name in limited)

    @property
    def spares_memory(self) -> bool:
        """Whether memory is limited or least: then the device does not compute on."""
        return self.minimise == "memory" or self.limits.memory_bytes is not None

    @property
    def kept(self) -> dict[str, float]:
        """The most that each limited measure may come to, by measure."""
        late = {} if self.most_late is None else {"late": self.most_late}
        return {**late, **self.limits.given()}

    @property
    def latest_s(self) -> float:
        """The deadline; infinite without one."""
        return math.inf if self.deadline_s is None else self.deadline_s

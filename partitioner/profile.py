"""Profiles: what a bundle's parts cost on one machine, measured by running whole partitions.

Times of single layers do not add up: measured by partition, predictions were off by 0.114 ms,
by layer by 0.997 ms (PORTEND, ICPADS 2023).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from offramp.bundle import Bundle
from offramp.errors import PlanError
from offramp.files import read_file
from offramp.settings import describe_error

__all__ = ["Machine", "Profile", "Timing", "load_profile"]

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Timing(_Model):
    """A measured time: the median of ``runs`` runs, and their 10th and 90th percentile."""

    median_s: Seconds
    p10_s: Seconds
    p90_s: Seconds
    runs: Annotated[int, Field(ge=0)]

    def scaled(self, factor: float) -> Timing:
        """Return the time that a machine slower by ``factor`` would take."""
        return Timing(
            median_s=self.median_s * factor,
            p10_s=self.p10_s * factor,
            p90_s=self.p90_s * factor,
            runs=self.runs,
        )


class Machine(_Model):
    """Where a profile was measured."""

    processor: str
    cores: Annotated[int, Field(ge=1)]
    system: str
    python: str


class Profile(_Model):
    """One machine's times for one bundle on one backend.

    ``head[k]`` runs segments 0 to k - 1, ``tail[k]`` segments k to the last; ``exits[e]`` runs one
    exit head; ``encode`` and ``decode`` are keyed by "cut/level". ``slowdown`` is the factor by
    which the measured times were stretched to stand for a slower board.
    """

    format: Literal[1] = 1
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    backend: str
    threads: Annotated[int, Field(ge=1)]
    machine: Machine
    measured: str
    slowdown: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    head: tuple[Timing, ...]
    tail: tuple[Timing, ...]
    exits: tuple[Timing, ...]
    encode: dict[str, Timing]
    decode: dict[str, Timing]

    def slowed(self, factor: float) -> Profile:
        """Return this profile as of a board slower by ``factor``, or raise `PlanError`."""
        if not (math.isfinite(factor) and factor > 0):
            raise PlanError(f"the slowdown is {factor}; it must be a positive number")
        return self.model_copy(
            update={
                "slowdown": self.slowdown * factor,
                "head": tuple(t.scaled(factor) for t in self.head),
                "tail": tuple(t.scaled(factor) for t in self.tail),
                "exits": tuple(t.scaled(factor) for t in self.exits),
                "encode": {key: t.scaled(factor) for key, t in self.encode.items()},
                "decode": {key: t.scaled(factor) for key, t in self.decode.items()},
            }
        )

    def between_s(self, start: int, stop: int) -> float:
        """Return the median time of segments ``start`` to ``stop - 1``."""
        return max(self.head[stop].median_s - self.head[start].median_s, 0.0)

    def check(self, bundle: Bundle) -> None:
        """Raise `PlanError` unless this profile was measured on ``bundle``."""
        if self.digest != bundle.digest:
            raise PlanError(
                f"the profile is of bundle {self.digest[:12]}, not of {bundle.digest[:12]}; "
                "measure it with: offramp profile"
            )
        manifest = bundle.manifest
        keys = {f"{at}/{level}" for at, b in enumerate(manifest.boundaries) for level in b.levels}
        if (
            len(self.head) != len(manifest.boundaries)
            or len(self.tail) != len(manifest.boundaries)
            or len(self.exits) != len(manifest.exits)
            or set(self.encode) != keys
            or set(self.decode) != keys
        ):
            raise PlanError("the profile lacks entries for this bundle; measure it again")


def load_profile(path: Path) -> Profile:
    """Read a profile; raise `PlanError` that names the file and what is wrong with it.

    Raises `ConfigError` if there is no such file.
    """
    try:
        return Profile.model_validate_json(read_file(path))
    except ValidationError as error:
        raise PlanError(
            f"{path}: {describe_error(error)}; measure it with: offramp profile"
        ) from None

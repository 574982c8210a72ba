"""Profiles: what a bundle's parts cost on one machine, measured by running whole partitions.

Times of single layers do not add up: measured by partition, predictions were off by 0.114 ms,
by layer by 0.997 ms (PORTEND, Ebrahimi et al., ICPADS 2023).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from offramp.bundle import Bundle
from offramp.errors import PlanError
from offramp.files import read_file
from offramp.settings import describe_error
from partitioner.power import Power

__all__ = ["WORTH_IT", "Machine", "Profile", "Runner", "Timing", "load_profile", "naming"]

WORTH_IT = 1.05
"""A cut runs on another backend or thread count than the rest if it is faster by this factor."""

Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Timing(_Model):
    """A measured time: the median of ``runs`` runs, and their 10th and 90th percentile."""

    median_s: Seconds
    p10_s: Seconds
    p90_s: Seconds
    runs: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _is_in_order(self) -> Timing:
        if not self.p10_s <= self.median_s <= self.p90_s:
            given = f"{self.p10_s:.4g}, {self.median_s:.4g}, {self.p90_s:.4g}"
            raise ValueError(f"p10_s, median_s and p90_s are {given}; they must not fall")
        return self

    def scaled(self, factor: float) -> Timing:
        """Return the time that a machine slower by ``factor`` would take."""
        return Timing(
            median_s=self.median_s * factor,
            p10_s=self.p10_s * factor,
            p90_s=self.p90_s * factor,
            runs=self.runs,
        )


class Machine(_Model):
    """Where a profile was measured; ``cores`` are those that the process may use."""

    processor: str
    cores: Annotated[int, Field(ge=1)]
    system: str
    python: str


class Runner(_Model):
    """One backend on a number of threads, and its times.

    ``version`` is that of the backend's package. An ``exact`` runner gives the model's own
    answers; one that does not is there for the heads alone. ``head[k]`` runs segments 0 to k - 1,
    those between two exits as one; ``tail[k]`` runs segments k to the last one by one; ``exits[e]``
    runs one exit head and asks the exit policy.
    """

    backend: str
    threads: Annotated[int, Field(ge=1)]
    version: str
    exact: bool = True
    head: tuple[Timing, ...]
    tail: tuple[Timing, ...]
    exits: tuple[Timing, ...]

    def scaled(self, factor: float) -> Runner:
        """Return the times that a machine slower by ``factor`` would take."""
        timings = {
            name: tuple(timing.scaled(factor) for timing in getattr(self, name))
            for name in ("head", "tail", "exits")
        }
        return self.model_copy(update=timings)


class Profile(_Model):
    """One machine's times for one bundle.

    ``encode`` and ``decode`` are keyed by "cut/level". ``slowdown`` is the factor by which the
    measured times were stretched to stand for a slower board. ``power`` is what the machine draws,
    if that is known.
    """

    format: Literal[1] = 1
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    machine: Machine
    measured: str
    slowdown: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    runners: Annotated[tuple[Runner, ...], Field(min_length=1)]
    encode: dict[str, Timing]
    decode: dict[str, Timing]
    power: Power | None = None

    @cached_property
    def main(self) -> Runner:
        """The runner for heads with the fastest whole model.

        Where one is not exact, the bundle was calibrated with it, and exact ones are for tails.
        """
        return min(self.runners, key=lambda runner: (runner.exact, runner.head[-1].median_s))

    def runner(self, cut: int) -> Runner:
        """Return the fastest runner of the head before ``cut`` if it is worth leaving `main`."""
        alike = [runner for runner in self.runners if runner.exact == self.main.exact]
        fastest = min(alike, key=lambda runner: runner.head[cut].median_s)
        worth = self.main.head[cut].median_s > WORTH_IT * fastest.head[cut].median_s
        return fastest if worth else self.main

    @cached_property
    def head(self) -> tuple[Timing, ...]:
        """The time of each cut's head on the runner chosen for it."""
        return tuple(self.runner(cut).head[cut] for cut in range(len(self.main.head)))

    @cached_property
    def tail_runner(self) -> Runner:
        """The exact runner with the fastest whole model, or the main one if there is none."""
        exact = [runner for runner in self.runners if runner.exact]
        return min(exact or [self.main], key=lambda runner: runner.head[-1].median_s)

    @property
    def tail(self) -> tuple[Timing, ...]:
        """The time of each cut's tail on the runner for tails."""
        return self.tail_runner.tail

    @property
    def exits(self) -> tuple[Timing, ...]:
        """The time of each exit on the main runner."""
        return self.main.exits

    def only(self, backend: str | None, threads: int | None) -> Profile:
        """Return what was measured on one backend, one thread count or both.

        Raises `PlanError` if nothing was.
        """
        kept = tuple(
            runner
            for runner in self.runners
            if backend in (None, runner.backend) and threads in (None, runner.threads)
        )
        if not kept:
            has = ", ".join(f"{r.backend} on {r.threads}" for r in self.runners)
            raise PlanError(
                f"the profile has no times of {backend or 'any backend'} on {threads or 'any'} "
                f"thread(s), only of {has}; measure it with: offramp profile"
            )
        return self.having(kept)

    def having(self, runners: Sequence[Runner]) -> Profile:
        """Return this profile with other runners."""
        return self._with(runners=tuple(runners))

    def drawing(self, power: Power | None) -> Profile:
        """Return this profile with what the machine draws."""
        return self._with(power=power)

    def slowed(self, factor: float) -> Profile:
        """Return this profile as of a board slower by ``factor``, or raise `PlanError`."""
        if not (math.isfinite(factor) and factor > 0):
            raise PlanError(f"the slowdown is {factor}; it must be a positive number")
        try:
            return self._with(
                slowdown=self.slowdown * factor,
                runners=tuple(runner.scaled(factor) for runner in self.runners),
                encode={key: t.scaled(factor) for key, t in self.encode.items()},
                decode={key: t.scaled(factor) for key, t in self.decode.items()},
            )
        except ValidationError as error:
            raise PlanError(
                f"a slowdown of {factor:g} makes no profile: {describe_error(error)}; give less"
            ) from None

    def taken_over(self, digest: str) -> Profile:
        """Return this profile as that of another bundle, whose parts take as long."""
        return self._with(digest=digest)

    def between_s(self, start: int, stop: int) -> float:
        """Return the median time of segments ``start`` to ``stop - 1`` on the main runner."""
        head = self.main.head
        return max(head[stop].median_s - head[start].median_s, 0.0)

    def check(self, bundle: Bundle) -> None:
        """Raise `PlanError` unless this profile was measured on ``bundle``."""
        if self.digest != bundle.digest:
            raise PlanError(
                f"the profile is of bundle {self.digest[:12]}, not of {bundle.digest[:12]}; "
                "measure it with: offramp profile"
            )
        manifest = bundle.manifest
        keys = {f"{at}/{level}" for at, b in enumerate(manifest.boundaries) for level in b.levels}
        cuts, exits = len(manifest.boundaries), len(manifest.exits)
        for runner in self.runners:
            for part, count in (("head", cuts), ("tail", cuts), ("exits", exits)):
                if (has := len(getattr(runner, part))) != count:
                    _refuse(f"{part} of {runner.backend} has {has} times and not {count}")
        for part, timings in (("encode", self.encode), ("decode", self.decode)):
            if lacking := keys - set(timings):
                _refuse(f"{part} lacks {min(lacking)!r}")
            if unknown := set(timings) - keys:
                _refuse(f"{part} has {min(unknown)!r}, which the bundle has not")

    def check_heads(self, bundle: Bundle) -> None:
        """Raise `PlanError` unless these heads are what ``bundle`` was calibrated with."""
        wanted = bundle.manifest.head_backend
        if wanted not in (None, self.main.backend):
            raise PlanError(
                f"bundle {bundle.digest[:12]} is calibrated with heads on {wanted}; leave out "
                f"other backends (the profile's heads are on {self.main.backend}), or measure it "
                "with: offramp profile"
            )

    def _with(self, **changes: object) -> Profile:
        """Return a changed profile; a model's own copy would take what is cached along."""
        kept = {name: getattr(self, name) for name in type(self).model_fields}
        return Profile(**{**kept, **changes})


def _refuse(what: str) -> NoReturn:
    raise PlanError(
        f"the profile does not fit its bundle: {what}; measure it again with: offramp profile"
    )


def load_profile(path: Path, bundle: Bundle | None = None) -> Profile:
    """Read a profile, of ``bundle`` if one is given.

    Raises `PlanError` that names the file and what is wrong with it, and `ConfigError` if there is
    no such file.
    """
    try:
        text = read_file(path)
        profile = Profile.model_validate_json(text)
    except ValidationError as error:
        raise PlanError(
            f"{path}: {describe_error(error, 'the file')}; measure it with: offramp profile"
        ) from None
    with naming(path):
        json.loads(text, object_pairs_hook=_refuse_twice)
        _refuse_idle(profile)
        if bundle is not None:
            profile.check(bundle)
    return profile


def _refuse_twice(pairs: list[tuple[str, object]]) -> None:
    """Raise `PlanError` if a key stands twice in a mapping: JSON does not say which counts."""
    for key, times in Counter(key for key, _ in pairs).items():
        if times > 1:
            raise PlanError(f"the key {key!r} is given twice; remove one")


def _refuse_idle(profile: Profile) -> None:
    """Raise `PlanError` if segments run in no time: then plans would cost nothing."""
    for runner in profile.runners:
        for part, timings in (("head", runner.head[1:]), ("tail", runner.tail[:-1])):
            if not all(timing.median_s for timing in timings):
                raise PlanError(
                    f"a {part} of {runner.backend} runs segments in 0 s; measure it again with: "
                    "offramp profile"
                )


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let every `PlanError` name the file of the profile that is at fault."""
    try:
        yield
    except PlanError as error:
        raise PlanError(f"{path}: {error}") from None

"""The board: what computing on the device costs, by its profile."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

from device.fallback import Option
from offramp.bundle import Manifest
from partitioner.candidates import CLOSED
from partitioner.plan import Plan
from partitioner.profile import Profile

__all__ = ["Board"]


class Board:
    """What a device holds of a bundle, with its times; ``stretch`` multiplies what they say."""

    def __init__(self, profile: Profile, manifest: Manifest) -> None:
        self._profile = profile
        self._manifest = manifest
        self._exits = list(enumerate(manifest.exits[: manifest.exits_before(manifest.reach)]))
        self._depth = len(manifest.segments)
        self._whole = manifest.reach == self._depth
        self._options = cache(self._find_options)

    def options(self, at: int, known: frozenset[int], stretch: float) -> Sequence[Option]:
        """Return the ways to answer from boundary ``at``, where the exits ``known`` have run.

        They go from the best answer to the quickest; one that takes as long as a better one is left
        out.
        """
        options = self._options(at, known)
        if stretch == 1.0:
            return options
        return [Option(each.exit, each.stop, each.time_s * stretch) for each in options]

    def _find_options(self, at: int, known: frozenset[int]) -> Sequence[Option]:
        options = []
        if self._whole:
            whole_s = self._profile.between_s(at, self._depth)
            options.append(Option(None, self._depth, whole_s))
        for number, spec in reversed(self._exits):
            if number in known:
                options.append(Option(number, at, 0.0))
                break
            missing = [e for e in self.runs_for(number) if e not in known]
            if all(self._ahead(e, at) for e in missing):
                exits_s = sum(map(self._exit_s, missing))
                time_s = self._profile.between_s(at, spec.boundary) + exits_s
                options.append(Option(number, spec.boundary, time_s))
        return [
            option
            for place, option in enumerate(options)
            if all(option.time_s < better.time_s for better in options[:place])
        ]

    def opened(self, plan: Plan) -> frozenset[int]:
        """Return the exits that run under a plan, if the sample leaves at none of them."""
        return _opened(plan.thresholds)

    def tried_at(self, boundary: int, thresholds: Sequence[float]) -> list[int]:
        """Return the exits that a head tries at a boundary, those that are closed left out."""
        return [
            at
            for at, threshold in enumerate(thresholds)
            if self._manifest.exits[at].boundary == boundary and threshold < CLOSED
        ]

    def runs_for(self, number: int) -> tuple[int, ...]:
        """Return the exits that have to run for one's answer, in order, itself the last."""
        return (*self._manifest.leading_to(number), number)

    def reached_s(self, at: int, known: frozenset[int]) -> float:
        """Return how long the head up to boundary ``at`` takes with the exits ``known``."""
        return self._profile.head[at].median_s + sum(map(self._exit_s, known))

    def step_s(self, at: int) -> float:
        """Return how long the segment behind boundary ``at`` takes."""
        return self._profile.between_s(at, at + 1)

    @property
    def holds_all(self) -> bool:
        """Whether the device can answer with the whole model."""
        return self._whole

    @property
    def depth(self) -> int:
        """The boundary at which the model ends."""
        return self._depth

    def encoded_s(self, plan: Plan) -> float:
        """Return how long it takes until a sample that no exit answers is encoded."""
        encode_s = self._profile.encode[f"{plan.cut}/{plan.level}"].median_s
        return self.reached_s(plan.cut, self.opened(plan)) + encode_s

    def _ahead(self, number: int, at: int) -> bool:
        """Tell whether an exit can still be run from boundary ``at`` on."""
        boundary = self._manifest.exits[number].boundary
        return boundary >= at > 0 or boundary > at

    def _exit_s(self, number: int) -> float:
        return self._profile.exits[number].median_s


@lru_cache  # each head asks for it, of few plans
def _opened(thresholds: tuple[float, ...]) -> frozenset[int]:
    return frozenset(at for at, threshold in enumerate(thresholds) if threshold < CLOSED)

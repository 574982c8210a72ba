"""What the devices and servers of a scenario are made of, loaded once for all that share it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from offramp.bundle import Bundle, open_bundle
from offramp.calibration import load_calibration
from offramp.demo.settings import default_bundle
from offramp.errors import PlanError
from offramp.exits.fitted import load_policy
from partitioner.candidates import Candidates, build_candidates
from partitioner.min_cut import sent_from
from partitioner.planner import Planner
from partitioner.profile import Profile, load_profile
from partitioner.remembered import recall
from sim.world.outcomes import Outcomes
from sim.world.processor import Processor
from sim.world.scenario import GroupSettings, ServerSettings

__all__ = ["Library"]


class Library:
    """Bundles with their candidates and outcomes, and the planners that use them."""

    def __init__(self) -> None:
        self.bundle = cache(self._open)
        self.profile = cache(load_profile)
        self._candidates = cache(self._build_candidates)
        self._outcomes = cache(self._look_up)
        self._planners: dict[tuple[str, str, str, int], tuple[Planner, Processor]] = {}

    def board(self, group: GroupSettings) -> Profile:
        """Return the profile of a group's boards, not slowed.

        Raises `PlanError` if none is named and none remembered.
        """
        bundle, agent = self.bundle(group.bundle), group.agent
        if group.profile is not None:
            return self._fitting(group.profile, bundle).only(agent.backend, agent.threads)
        found = recall(bundle, agent.backend, agent.threads)
        if found is None:
            raise PlanError(
                f"group {group.name!r}: no profile of bundle {bundle.digest[:12]} is remembered "
                "here; measure it with offramp profile, or name a profile"
            )
        return found

    def tail_profile(self, server: ServerSettings, group: GroupSettings) -> Profile:
        """Return the profile of a server for a group's bundle, as devices know it."""
        bundle = self.bundle(group.bundle)
        for path in reversed(server.profiles):
            if self.profile(path).digest == bundle.digest:
                return self._fitting(path, bundle).slowed(server.slowdown)
        return self.board(group).slowed(server.slowdown)

    def planner(
        self, group: GroupSettings, server: ServerSettings | None
    ) -> tuple[Planner, Processor]:
        """Return what plans for a group's devices, and what computes on them."""
        bundle, board = self.bundle(group.bundle), self.board(group)
        there = board if server is None else self.tail_profile(server, group)
        board = board.slowed(group.agent.slowdown)
        min_cut = group.agent.min_cut
        key = bundle.digest, board.model_dump_json(), there.model_dump_json(), min_cut
        if key not in self._planners:
            candidates = self._candidates(group.bundle, min_cut)
            planner = Planner(bundle, candidates, board, there)
            self._planners[key] = planner, Processor(planner, self._outcomes(group.bundle))
        return self._planners[key]

    def samples(self, group: GroupSettings) -> int:
        """Return how many calibration samples a group's bundle has."""
        return len(self._outcomes(group.bundle))

    def _fitting(self, path: Path, bundle: Bundle) -> Profile:
        """Return a file's profile; raise `PlanError` that names the file if it does not fit."""
        profile = self.profile(path)
        try:
            profile.check(bundle)
        except PlanError as error:
            raise PlanError(f"{path}: {error}") from None
        return profile

    def _open(self, path: Path | None) -> Bundle:
        return open_bundle(path or default_bundle())

    def _build_candidates(self, path: Path | None, min_cut: int) -> Candidates:
        bundle = self.bundle(path)
        sent = sent_from(load_calibration(bundle), min_cut)
        return build_candidates(bundle, sent, load_policy(bundle))

    def _look_up(self, path: Path | None) -> Outcomes:
        return Outcomes.of(self.bundle(path))

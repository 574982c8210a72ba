"""Contenders: the runs of each strategy side by side, and figures of them over the seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from offramp.report.colours import OWN

__all__ = ["Contender", "Figures", "OverSeeds", "Value", "choose_subject", "gather_contenders"]

Figures = Mapping[str, Any]
"""What became of requests, as `sim.world.tally.Tally.summary` says it, with ``energy_j``."""

Value = Callable[[Figures], float | None]


@dataclass(frozen=True)
class OverSeeds:
    """A figure's mean over the seeds, and the least and the most of them."""

    mean: float
    least: float
    most: float


@dataclass(frozen=True)
class Contender:
    """A strategy's runs, one for each seed; a ``clairvoyant`` one knows the future."""

    name: str
    runs: tuple[Figures, ...]
    clairvoyant: bool = False

    def figures(self, group: str | None = None) -> list[Figures]:
        """Return the figures of each run, of one group or of all together."""
        return [run["total"] if group is None else run["groups"][group] for run in self.runs]

    def over_seeds(self, value: Value, group: str | None = None) -> OverSeeds | None:
        """Return a figure over the seeds that have it; None if none has."""
        found = [value(figures) for figures in self.figures(group)]
        known = [one for one in found if one is not None]
        if not known:
            return None
        return OverSeeds(sum(known) / len(known), min(known), max(known))


def gather_contenders(results: Figures) -> list[Contender]:
    """Return the strategies of results (`sim.world.results.gather_results`), in their order."""
    runs: dict[str, list[Figures]] = {}
    for run in results["runs"]:
        runs.setdefault(run["strategy"], []).append(run)
    clairvoyant = results["scenario"]["clairvoyant"]
    return [Contender(name, tuple(found), name in clairvoyant) for name, found in runs.items()]


def choose_subject(contenders: Sequence[Contender]) -> Contender:
    """Return the strategy that a report is about: Offramp's own, or the first that is live."""
    live = [one for one in contenders if not one.clairvoyant] or list(contenders)
    return next((one for one in live if one.name == OWN), live[0])

"""A plan: cut, codec level and exit thresholds, with what is predicted of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from offramp.quantities import figure

__all__ = ["Plan", "Prediction"]


@dataclass(frozen=True)
class Prediction:
    """What a plan is expected to do under the conditions it was made for.

    ``exit_shares`` holds the share of samples that leave at each of the device's exits;
    ``bytes_mean`` is over all samples, those that leave counting as 0. ``target`` is what the
    objective minimises.
    """

    mean_s: float
    p95_s: float
    miss_share: float
    accuracy: float
    exit_shares: tuple[float, ...]
    sent_share: float
    bytes_mean: float
    target: float


@dataclass(frozen=True)
class Plan:
    """What the device does with each sample.

    ``thresholds`` holds one number for each exit up to the cut; ``level`` is None where nothing is
    sent: at the last cut, or if the last threshold is 0. ``reason`` says in words why this plan was
    chosen.
    """

    cut: int
    level: str | None
    policy: str
    thresholds: tuple[float, ...]
    prediction: Prediction | None = None
    reason: str = ""

    @cached_property
    def id(self) -> str:
        """A short name of what the plan does, equal for plans that do the same and no others."""
        text = f"{self.cut}/{self.level}/{self.policy}/" + ",".join(
            "closed" if threshold > 1 else float(threshold).hex() for threshold in self.thresholds
        )
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def describe(self) -> str:
        """Say in one line what the plan does."""
        exits = " ".join("closed" if t > 1 else figure(t) for t in self.thresholds)
        sends = f"sends {self.level}" if self.level else "sends nothing"
        return f"cut {self.cut}, {sends}" + (f", thresholds {exits}" if exits else "")

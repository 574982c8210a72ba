"""Where exits pay: of candidate places, those at which accuracy rises most for what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from offramp.errors import ConfigError

__all__ = ["MOST_EXITS", "Candidate", "area", "choose_places"]

MOST_EXITS = 6
"""The most exits that are chosen automatically."""


@dataclass(frozen=True)
class Candidate:
    """A place for an exit: the multiply-adds with its head, and what a simple head gets right.

    ``accuracy`` is the share of held-out samples.
    """

    path: str
    macs: int
    accuracy: float


def area(chosen: Sequence[Candidate], whole: Candidate, floor: float) -> float:
    """Return the area under the best accuracy so far against the share of multiply-adds.

    Accuracy counts from ``floor``, that of a guess; before the first exit there is none. ``whole``
    is the model itself: an exit that is reached later than another one and is no better adds
    nothing.
    """
    reached = [(one.macs / whole.macs, one.accuracy) for one in sorted(chosen, key=_by_macs)]
    best, total = floor, 0.0
    for (start, accuracy), (end, _) in pairwise([*reached, (1.0, 0.0)]):
        best = max(best, accuracy)
        total += (best - floor) * (end - start)
    return total


def choose_places(
    candidates: Sequence[Candidate], whole: Candidate, count: int, floor: float
) -> tuple[Candidate, ...]:
    """Return at most ``count`` candidates of the largest area, in the order they are reached.

    All sets of candidates are compared; of equal ones the first wins, and a candidate that adds
    nothing is left out. Raises `ConfigError` if no candidate is better than a guess.
    """
    worth = _front([one for one in candidates if one.macs < whole.macs], floor)
    if not worth:
        raise ConfigError(
            f"no sub-module lets a linear probe do better than a guess ({floor:.1%}); train the "
            "model first, or name the places with --exit"
        )
    sets = combinations(worth, min(count, len(worth)))
    return max(sets, key=lambda chosen: area(chosen, whole, floor))


def _front(candidates: Sequence[Candidate], floor: float) -> list[Candidate]:
    """Return those that are better than all that cost as much or less, by cost."""
    front: list[Candidate] = []
    for one in sorted(candidates, key=lambda one: (one.macs, -one.accuracy)):
        if one.accuracy > (front[-1].accuracy if front else floor):
            front.append(one)
    return front


def _by_macs(candidate: Candidate) -> int:
    return candidate.macs

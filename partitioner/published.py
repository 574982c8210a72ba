"""What published strategies choose from: views of a bundle's plans that they could have made.

Their authors sent tensors as they were, or at one precision. A bundle holds the codec levels that
its compiler kept, so of each cut the level is taken that is nearest to theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from offramp import codecs
from offramp.errors import PlanError
from partitioner.candidates import CLOSED, Candidates, evaluate
from partitioner.conditions import Conditions
from partitioner.demands import Floats
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.recorded import Place, Recorded

__all__ = [
    "as_published",
    "closed",
    "eight_bit_levels",
    "evaluated",
    "least",
    "raw_levels",
    "without_exits",
]

_VIEWS: WeakKeyDictionary[Planner, dict[str, Planner]] = WeakKeyDictionary()


def raw_levels(recorded: Recorded) -> dict[int, str]:
    """Return for each cut that can send the level nearest to the tensors as they are.

    That is `raw`, else `lossless`, else another one that loses nothing, else the one of most bytes.
    """
    return {cut: _rawest(recorded, cut, levels) for cut, levels in _levels(recorded).items()}


def eight_bit_levels(recorded: Recorded) -> dict[int, tuple[str, ...]]:
    """Return for each cut that can send the levels nearest to linear quantisation to 8 bits.

    An input has 8 bits already: it goes as it is, or by any of the bundle's input codecs, which
    their authors had not. Elsewhere it is `affine8`, else `channel8`. A
    compiler leaves these out where others are smaller and as accurate: then it is the linear
    quantisers of fewer bits that are there, and what loses nothing.
    """
    found = {}
    raw = raw_levels(recorded)
    for cut, levels in _levels(recorded).items():
        eight = [level for level in ("affine8", "channel8") if level in levels]
        fewer = [level for level in levels if level.startswith(("affine", "channel"))]
        found[cut] = tuple(eight[:1] or dict.fromkeys([*fewer, raw[cut]])) if cut else tuple(levels)
    return found


def without_exits(planner: Planner) -> Planner:
    """Return a planner for the plans without exits that send tensors as they are, or nothing.

    There is one plan for each cut. Raises `PlanError` if the bundle has none.
    """

    def allowed(c: Candidates) -> NDArray[np.bool_]:
        levels = raw_levels(c.recorded)
        levels_of = [levels.get(cut) for cut in c.cut.tolist()]
        depth = max(c.recorded.manifest.cuts)
        wanted = [level == mine for level, mine in zip(c.level, levels_of, strict=True)]
        found: NDArray[np.bool_] = closed(c) & np.array(wanted, bool) & (c.sends | (c.cut == depth))
        return found

    return planner.only("a chain without exits", allowed)


def closed(candidates: Candidates) -> NDArray[np.bool_]:
    """Tell which candidates run no exit, bool (C,)."""
    found: NDArray[np.bool_] = np.all(candidates.thresholds >= CLOSED, axis=1)
    return found


def evaluated(
    planner: Planner, name: str, wanted: Callable[[Recorded], Mapping[Place, Floats]]
) -> Planner:
    """Return a planner for the threshold vectors that are ``wanted``, made once for all who ask.

    They need not be among the planner's own candidates, of which those that others of any kind
    undercut are left out.
    """
    views = _VIEWS.setdefault(planner, {})
    if name not in views:
        recorded = planner.candidates.recorded
        places = _allowed(recorded, wanted(recorded))
        if not places:
            raise PlanError(f"no plan is left: the bundle allows none that {name} could make")
        candidates = evaluate(recorded, places)
        views[name] = Planner(planner.bundle, candidates, planner.device, planner.server)
    return views[name]


def as_published(conditions: Conditions) -> Conditions:
    """Return conditions for those who take what is believed of the link for certain.

    Nor do they know a hedge, with what it answers in vain, the price of what others lose, or waits.
    """
    return replace(conditions.certain(), hedged=False, unevenness=0.0)


def least(planner: Planner, conditions: Conditions, *targets: Floats) -> Plan:
    """Return the plan with the least of the first target, float64 (C,), then of the next ones.

    Of those that send something none is taken while no server answers; raises `PlanError` if none
    is left.
    """
    usable = np.flatnonzero(conditions.reachable | ~planner.candidates.sends)
    if not len(usable):
        raise PlanError("no plan is left: the strategy allows none under these conditions")
    order = np.lexsort([target[usable] for target in reversed(targets)])
    return planner.plan_of(int(usable[order[0]]))


def _allowed(recorded: Recorded, wanted: Mapping[Place, Floats]) -> dict[Place, Floats]:
    """Return the vectors that a bundle allows; all, unless it names those that keep its promise."""
    allowed, kept = recorded.manifest.allowed, dict(wanted)
    if allowed is not None:
        for (cut, level), vectors in wanted.items():
            named = set(allowed.thresholds(cut, level))
            rows = [row for row, vector in enumerate(vectors.tolist()) if tuple(vector) in named]
            kept[cut, level] = vectors[rows]
    return {place: vectors for place, vectors in kept.items() if len(vectors)}


def _levels(recorded: Recorded) -> dict[int, list[str]]:
    """Return the levels that are calibrated at each cut that can send."""
    levels: dict[int, list[str]] = {}
    depth = max(recorded.manifest.cuts)
    for cut, level in recorded.calibration.levels:
        if cut in recorded.manifest.cuts and cut != depth:
            levels.setdefault(cut, []).append(level)
    return levels


def _rawest(recorded: Recorded, cut: int, levels: list[str]) -> str:
    def rank(level: str) -> tuple[bool, bool, bool, float]:
        mean_bytes = float(recorded.calibration.sizes[cut, level].mean())
        return level == "raw", level == "lossless", codecs.get(level).lossless, mean_bytes

    return max(levels, key=rank)

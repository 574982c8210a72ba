"""What a map shows: which plan is which colour, and what is said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from partitioner.plan import Plan

__all__ = ["COLOURS", "UNMET", "Legend", "Places", "make_legend"]

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#ee8866")
"""Paul Tol's bright colours, which colour-blind people tell apart too, and an orange."""

UNMET = "nothing: the objective is not met"

Places = Sequence[Sequence[Plan | None]]
"""Which plan wins at each place of a map, (second axis, first axis); None where none does."""


@dataclass(frozen=True)
class Legend:
    """What is said of the plans of a map: ``texts``, that of most places first.

    ``numbers`` has the text of each plan by its id.
    """

    texts: tuple[str, ...]
    numbers: dict[str, int]


def make_legend(places: Places) -> Legend:
    """Return the legend of a map.

    Where there are more plans than colours, those that differ in thresholds alone are as one.
    """
    plans = {plan.id: plan for row in places for plan in row if plan is not None}
    counts = Counter(plan.id for row in places for plan in row if plan is not None)
    merged = len(plans) > len(COLOURS)
    kinds: dict[str, list[Plan]] = {}
    for plan in plans.values():
        text = replace(plan, thresholds=()).describe() if merged else plan.describe()
        kinds.setdefault(text, []).append(plan)
    order = sorted(kinds, key=lambda text: -sum(counts[plan.id] for plan in kinds[text]))
    numbers = {plan.id: at for at, text in enumerate(order) for plan in kinds[text]}
    return Legend(tuple(_say(text, kinds[text], merged) for text in order), numbers)


def _say(text: str, plans: Sequence[Plan], merged: bool) -> str:
    if merged and len(plans) > 1:
        return f"{text}, thresholds vary"
    return plans[0].describe() if merged else text

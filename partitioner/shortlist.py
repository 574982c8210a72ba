"""The shortlist: a few candidates of which one is the best, whatever the conditions.

Mean latency grows with every demand, so one of those candidates is best that no other undercuts in
all demands. Where tails are limited, one is best of those that no other undercuts in what the
samples demand either that decide on these.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partitioner.conditions import Conditions
from partitioner.costs import Costs
from partitioner.demands import Bill, Demands
from partitioner.objective import Tail
from partitioner.pareto import undercut_by_none

__all__ = ["Course", "Shortlist", "beyond"]

_EXACT, _LEAST = 1e-12, 1e-3


class Course:
    """What samples demand in the mean and at tails, under one candidate or several.

    A course of one has plain numbers: they are several times as quick as arrays.
    """

    def __init__(self, mean: Demands, tails: Sequence[tuple[Tail, Demands]]) -> None:
        self.mean, self.tails = mean, tuple(tails)

    @classmethod
    def of(cls, costs: Costs, tails: Sequence[Tail]) -> Course:
        """Return the course of candidates with their costs."""
        return cls(costs.mean, [(tail, costs.tail(tail.share)) for tail in tails])

    def select(self, at: Any) -> Course:
        """Return the course of some, or with plain numbers that of the one at a place."""
        one = not np.ndim(at)
        mean, *tails = (
            Demands(*(float(each[at]) if one else each[at] for each in demands))  # type: ignore[arg-type]
            for demands in (self.mean, *(demands for _, demands in self.tails))
        )
        return Course(mean, list(zip((tail for tail, _ in self.tails), tails, strict=True)))

    def excess(self, now: Conditions) -> Any:
        """Return, for each, how far tails are not kept and samples come too fast; 0 if all is well.

        If more samples are sent in vain than may be late, the one that decides is taken for one.
        """
        total: Any = 0.0
        for tail, demands in self.tails:
            vain = now.tail_vain_share * self.mean.sent > 1 - tail.share
            total = total + beyond(demands.raced_s(now, vain), tail.latest_s)
        if now.rate_hz:
            total = total + beyond(self.mean.period_s(now), now.interval_s)
        return total


def beyond(values: Any, most: float) -> Any:
    """Return by how much values are beyond the most that they may be, as shares of that."""
    limit = most * (1 + _EXACT) + _EXACT
    if isinstance(values, float):
        return (values - most) / max(most, _LEAST) if values > limit else 0.0
    return np.where(values > limit, values - most, 0.0) / max(most, _LEAST)


class Shortlist:
    """Of candidates with their costs, those that may be the best where ``tails`` are limited.

    Not ``timely``, it holds the ones of least mean cost alone, which need not keep the tails.
    """

    def __init__(
        self, rows: NDArray[np.int64], costs: Costs, tails: Sequence[Tail], *, timely: bool
    ) -> None:
        course = Course.of(costs, tails)
        decides = [*course.mean]
        if timely:
            decides += [each for _, demands in course.tails for each in demands]
        chosen = undercut_by_none(np.stack(decides, axis=1))
        self._rows = rows[chosen].tolist()
        self._course = course.select(chosen)
        self._one = lru_cache(maxsize=64)(self._course.select)
        self._bill = Bill(self._course.mean)

    def cheapest(self, now: Conditions) -> int | None:
        """Return the row of least cost if it keeps all there is to keep, else None."""
        if not self._rows:
            return None
        at = int(self._bill.cost_s(now).argmin())
        return self._rows[at] if self._one(at).excess(now) == 0.0 else None

    def best(self, now: Conditions) -> int | None:
        """Return the row that exceeds least what there is to keep, of those the one of least cost.

        None if there is none.
        """
        if not self._rows:
            return None
        excess = np.broadcast_to(self._course.excess(now), len(self._rows))
        at = int(np.where(excess == excess.min(), self._bill.cost_s(now), np.inf).argmin())
        row: int = self._rows[at]
        return row

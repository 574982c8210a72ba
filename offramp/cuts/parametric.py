"""The cuts that are best at some rate of a range: the lower envelope of all cuts' latencies."""

from __future__ import annotations

from offramp.cuts.dag import Cut, Dag, Line
from offramp.cuts.minimum_cut import PRECISION, Cutter

__all__ = ["best_cuts"]


def best_cuts(dag: Dag, low: Cut, high: Cut, rates: tuple[float, float]) -> list[Cut]:
    """Return the distinct cuts between two that are best at some inverse rate, fastest rate first.

    A cut's latency is affine in the inverse rate, so the best form a lower envelope; each of its
    corners is found by solving at the crossing of two lines known (Eisner and Severance 1976).
    ``rates`` are the least and the largest, in seconds per byte. Empty if no cut is allowed.
    """
    cutter = Cutter(dag, low, high)

    def solve(rate: float) -> tuple[Cut, Line]:
        cut = cutter.cut(dag.device_s, dag.server_s, dag.sent_s(rate))
        return cut, dag.line(cut)

    try:
        found = [solve(rate) for rate in rates]
    except ValueError:  # nothing in between is allowed either
        return []
    settled = 1
    while settled < len(found):
        one, other = found[settled - 1][1], found[settled][1]
        rate = one.crosses(other)
        if rates[0] < rate < rates[1]:
            new = solve(rate)
            if new[1].at(rate) < one.at(rate) * (1 - 2 * PRECISION):
                found.insert(settled, new)
                continue
        settled += 1
    return list({cut.tobytes(): cut for cut, _ in found}.values())

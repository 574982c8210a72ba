"""The chain of cuts that a model is compiled with.

Where the device is slower than the server by one factor at every operation, the best cut depends
on rate and factor through one number alone, and the best cuts over all its values are nested
(parametric minimum cut, Gallo, Grigoriadis and Tarjan 1989). So a sweep over the rate at one
factor, wide enough, finds what is best for every rate and many factors: a chain that
loses nothing. Fixed cuts, such as those below an exit, split the graph into intervals with a sweep
each. `docs/design/2026-11-22-general-graphs.md` has the argument.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offramp.cuts.dag import Cut, Dag, Line
from offramp.cuts.envelope import Envelope
from offramp.cuts.parametric import best_cuts

__all__ = ["Chain", "SLOWEST_BPS", "FASTEST_BPS", "build_chain", "gap"]

SLOWEST_BPS, FASTEST_BPS = 1e4, 1e10
_RATES_S = (8 / FASTEST_BPS, 8 / SLOWEST_BPS)
_WIDE_RATES_S = (_RATES_S[0] / 150, _RATES_S[1] * 70)
"""At a factor of 8 these stand for `_RATES_S` at every factor from 1.1 to 1,000."""
_SAME = 1e-8
"""Latencies closer than this share are equal."""
_SPREAD = 1.1
"""Codecs shrink boundaries unevenly: bytes up to this far apart decide nothing."""


@dataclass(frozen=True)
class Chain:
    """Nested cuts from the model's inputs alone to the whole model.

    ``gap`` is the largest share by which the best of them is slower than the best of all cuts of
    the graph, over all rates; ``proposed`` is how many distinct cuts are best at some rate.
    """

    cuts: tuple[Cut, ...]
    gap: float
    proposed: int


def build_chain(dag: Dag, fixed: Sequence[Cut], most: int) -> Chain:
    """Choose at most ``most`` + 1 nested cuts, the inputs alone and the whole model among them.

    ``fixed`` cuts, nested, are always kept. First come the cuts that are best at some rate, whether
    the inputs may be sent or not; what would cost the most to leave out stays. Then, since codecs
    and exits shift what a cut costs in ways that only a profile knows, the largest segments are
    split at their cheapest boundaries.
    """
    inputs, whole = np.isinf(dag.server_s), np.ones(len(dag), bool)
    best = best_cuts(dag, inputs, whole, _RATES_S)
    ends = [inputs, *fixed, whole]
    found, unsent = list(ends), []
    for low, high in itertools.pairwise(ends):
        found += best_cuts(dag, low, high, _WIDE_RATES_S)
        unsent += best_cuts(_unsent(dag, inputs), low, high, _WIDE_RATES_S)
    least_s = float(dag.device_s.sum()) / (4 * most)
    cuts = _thin(dag, _join(dag, _nest(found), unsent, least_s), ends, most, best)
    cuts = _split(dag, cuts, most, least_s)
    return Chain(tuple(cuts), gap(dag, cuts, best), len(best))


def gap(dag: Dag, cuts: Sequence[Cut], best: Sequence[Cut]) -> float:
    """Return by what share the best of ``cuts`` is slower than the best of ``best`` at most.

    Both envelopes are piecewise linear, so the largest ratio lies at a corner of one of them.
    """
    ours, theirs = ([dag.line(cut) for cut in some] for some in (cuts, best))
    least, least_of_all = _envelope(ours), _envelope(theirs)
    worst = 0.0
    for rate in (*_RATES_S, *least.breaks, *least_of_all.breaks):
        best_s = theirs[least_of_all.best(rate)].at(rate)
        worst = max(worst, ours[least.best(rate)].at(rate) / max(best_s, 1e-12) - 1)
    return worst if worst > _SAME else 0.0


def _nest(cuts: Sequence[Cut]) -> list[Cut]:
    """Make a chain: each cut grows by those before it, which keeps it closed."""
    ordered = sorted(cuts, key=lambda cut: int(cut.sum()))
    return _distinct(list(itertools.accumulate(ordered, np.logical_or)))


def _join(dag: Dag, chain: Sequence[Cut], others: Sequence[Cut], least_s: float) -> list[Cut]:
    """Put those of ``others`` into a chain that hold, or lie in, every cut of it.

    Between any two of the result there is ``least_s`` of work at least, but for those of ``chain``.
    """
    joined = list(chain)
    for other in others:
        apart_s = (max(_work(dag, cut, other), _work(dag, other, cut)) for cut in joined)
        nested = all((other <= cut).all() or (cut <= other).all() for cut in joined)
        if nested and min(apart_s) >= least_s:
            joined.append(other)
    return _nest(joined)


def _thin(
    dag: Dag, cuts: list[Cut], keep: Sequence[Cut], most: int, best: Sequence[Cut]
) -> list[Cut]:
    """Leave out, one at a time, the cut whose loss costs least, until ``most`` segments remain."""
    kept = {cut.tobytes() for cut in keep}
    cuts = [cut for cut in cuts if cut.tobytes() in kept or np.isfinite(dag.line(cut).bytes)]
    while len(cuts) - 1 > most:
        loose = [at for at, cut in enumerate(cuts) if cut.tobytes() not in kept]
        if not loose:
            break
        losses = {at: gap(dag, [*cuts[:at], *cuts[at + 1 :]], best) for at in loose}
        cuts.pop(min(loose, key=lambda at: (losses[at], _work(dag, cuts[at - 1], cuts[at + 1]))))
    return cuts


def _split(dag: Dag, cuts: list[Cut], most: int, least_s: float) -> list[Cut]:
    """Split the segment of most work at its cheapest boundary, until there are ``most``."""
    cuts = list(cuts)
    indivisible: set[bytes] = set()
    while len(cuts) - 1 < most:
        segments = [
            (_work(dag, low, high), at)
            for at, (low, high) in enumerate(itertools.pairwise(cuts))
            if low.tobytes() not in indivisible
        ]
        if not segments or max(segments)[0] < 2 * least_s:
            break
        at = max(segments)[1]
        cut = _cheapest(dag, cuts[at], cuts[at + 1], least_s, unsent=at == 0)
        if cut is None:
            indivisible.add(cuts[at].tobytes())
        else:
            cuts.insert(at + 1, cut)
    return cuts


def _cheapest(dag: Dag, low: Cut, high: Cut, least_s: float, *, unsent: bool) -> Cut | None:
    """Return the prefix of a segment that is cheap to send and near its middle, if any is.

    One much dearer than both ends would never be chosen; an ``unsent`` low end is no measure. Both
    parts have ``least_s`` of work at least. Of equals it is the last, as in `minimum_cut`.
    """
    scores: list[tuple[float, int, Cut]] = []
    dearest = np.inf if unsent else max(dag.line(low).bytes, dag.line(high).bytes) * _SPREAD
    for cut in dag.prefixes(low, high):
        left_s, right_s = _work(dag, low, cut), _work(dag, cut, high)
        size = dag.line(cut).bytes
        if min(left_s, right_s) >= least_s and np.isfinite(size) and size <= dearest:
            scores.append((size * max(left_s, right_s), -len(scores), cut))
    return min(scores, key=lambda score: score[:2])[2] if scores else None


def _work(dag: Dag, low: Cut, high: Cut) -> float:
    return float(dag.device_s[high & ~low].sum())


def _unsent(dag: Dag, inputs: Cut) -> Dag:
    """Return the graph without cuts at which what the first operation reads would cross."""
    start = np.isin(np.arange(len(dag)), dag.reads[int(inputs.sum())]) & inputs
    return Dag(dag.reads, dag.device_s, dag.server_s, np.where(start, np.inf, dag.out_bytes))


def _distinct(cuts: Sequence[Cut]) -> list[Cut]:
    return list({cut.tobytes(): cut for cut in cuts}.values())


def _envelope(lines: Sequence[Line]) -> Envelope:
    seconds, sizes = [line.seconds for line in lines], [line.bytes for line in lines]
    return Envelope(np.array(seconds), np.array(sizes), *_RATES_S)

"""Candidates: every cut, codec level and threshold vector, evaluated on the calibration samples.

What does not depend on the conditions (accuracy, exit shares, bytes) is computed once. Under
given conditions a candidate's mean latency is then affine in 1 / bandwidth, and a quantile is one
order statistic: a sample that leaves is always earlier than one that is sent, and among those sent
the one with more bytes is later. So evaluation is exact and needs no pass over the samples.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.bundle import Bundle, Manifest
from offramp.calibration import Calibration, joint_answers
from offramp.exits import FittedPolicy
from offramp.exits.policy import CLOSED, WATCHED
from offramp.tensors import Array
from partitioner.recorded import Floats, Place, Recorded

__all__ = [
    "CLOSED",
    "WATCHED",
    "Candidates",
    "build_candidates",
    "evaluate",
    "threshold_choices",
]

_MAX_VECTORS = 2000
_EXACT = 1e-9  # sums of shares and bytes are exact but for rounding
_GRID = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.94, 0.97, 0.99, CLOSED)
_LEAVING = (0.98, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.4, 0.2)  # shares that thresholds let leave


@dataclass(frozen=True)
class Candidates:
    """C candidates as parallel arrays; E exits, N calibration samples.

    ``cut`` (C,), ``level`` (C names, None where nothing is sent), ``thresholds`` (C, E) with
    exits beyond the cut closed, ``accuracy`` (C,), ``exit_shares`` (C, E), ``sent_share`` (C,),
    ``bytes_mean`` (C,) over all samples, ``sent_bytes`` (C, N): the bytes of the samples sent, in
    ascending order at the end of each row, zeros before them. ``hedged_accuracy`` (C,) is the
    lower one of two: that of the plan, and what it is if the device ends itself what is sent.
    ``whole_accuracy`` is that of the whole model on the device. All of it was ``recorded``.
    """

    policy: str
    cut: NDArray[np.int64]
    level: tuple[str | None, ...]
    thresholds: Floats
    accuracy: Floats
    exit_shares: Floats
    sent_share: Floats
    bytes_mean: Floats
    sent_bytes: NDArray[np.int32]
    hedged_accuracy: Floats
    whole_accuracy: float
    recorded: Recorded

    def __len__(self) -> int:
        return len(self.cut)

    @property
    def sends(self) -> NDArray[np.bool_]:
        """Bool (C,): whether a sample that no exit answers is sent."""
        return np.array([level is not None for level in self.level], bool)

    def select(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Candidates:
        """Return some of the candidates."""
        kept = np.arange(len(self))[rows]
        return Candidates(
            self.policy,
            self.cut[kept],
            tuple(self.level[row] for row in kept),
            self.thresholds[kept],
            self.accuracy[kept],
            self.exit_shares[kept],
            self.sent_share[kept],
            self.bytes_mean[kept],
            self.sent_bytes[kept],
            self.hedged_accuracy[kept],
            self.whole_accuracy,
            self.recorded,
        )


def build_candidates(bundle: Bundle, calibration: Calibration, policy: FittedPolicy) -> Candidates:
    """Evaluate all combinations and keep those that no other of the same cut and level beats.

    ``policy`` is the bundle's (`offramp.exits.fitted.load_policy`). If the bundle names the plans
    that are allowed, all combinations are these.
    """
    manifest = bundle.manifest
    recorded = Recorded(manifest, calibration, policy)
    parts = []
    for cut in manifest.cuts:
        seen = recorded.scores[: manifest.exits_before(cut)]
        levels: list[str | None] = [level for at, level in calibration.levels if at == cut]
        if cut == max(manifest.cuts):
            levels = [None]
        for vectors, named in _vectors(manifest, policy, seen, (cut, levels)):
            leaving = _leaving(recorded, cut, vectors)
            parts += [_evaluate(recorded, (cut, level), leaving) for level in named]
    return _join(parts, len(manifest.exits))


def evaluate(recorded: Recorded, wanted: Mapping[Place, Floats]) -> Candidates:
    """Evaluate given threshold vectors, (V, exits before the cut), at each place; all are kept."""
    parts = []
    for place, vectors in wanted.items():
        leaving = _leaving(recorded, place[0], vectors)
        parts.append(_evaluate(recorded, place, leaving, prune=False))
    return _join(parts, len(recorded.manifest.exits))


def threshold_choices(recorded: Recorded, count: int) -> Floats:
    """Return so many thresholds from low to high that could hold for any exit, closed the last."""
    if not recorded.manifest.exits:
        return np.array([CLOSED])
    places = np.linspace(0, len(_GRID) - 1, count).round().astype(int)
    if recorded.policy.rule.name == "confidence":
        return np.array([_GRID[at] for at in places])
    shares = 1 - np.array(_LEAVING)[places[:-1]]
    return np.array([*np.quantile(recorded.scores, shares), CLOSED])


def _leaving(recorded: Recorded, cut: int, vectors: Floats) -> _Leaving:
    """Return what threshold vectors do up to a cut."""
    seen = recorded.scores[: recorded.manifest.exits_before(cut)]
    grid = _watching(vectors, recorded.manifest, recorded.policy)
    return _Leaving.by(seen, grid, recorded.exits_right)


def _vectors(
    manifest: Manifest,
    policy: FittedPolicy,
    scores: Array,
    place: tuple[int, list[str | None]],
) -> Iterator[tuple[Floats, list[str | None]]]:
    """Yield threshold vectors, (V, exits), with the codec levels of a cut to try them at.

    Where plans are ``allowed``, these are theirs; some send nothing before the last cut.
    """
    (cut, levels), allowed = place, manifest.allowed
    if allowed is None:
        grid = _grid(policy, scores)
        if manifest.ensemble_at(cut) is not None:  # the last exit may run for the end alone
            watched = grid[grid[:, -1] >= CLOSED]
            watched[:, -1] = WATCHED
            grid = np.concatenate([grid, watched])
        yield grid, levels
        return
    alike: dict[tuple[tuple[float, ...], ...], list[str | None]] = defaultdict(list)
    for level in dict.fromkeys((*levels, None)):
        alike[allowed.thresholds(cut, level)].append(level)
    for vectors, named in alike.items():
        if vectors:
            yield np.array(vectors, dtype=np.float64), named


def _grid(policy: FittedPolicy, scores: Array) -> Floats:
    """Return the threshold vectors to try, (V, exits), fewer for each exit if there are many."""
    exit_count = len(scores)
    steps = len(_GRID)
    while steps > 2 and steps**exit_count > _MAX_VECTORS:
        steps -= 1
    if policy.rule.name == "confidence":
        places = np.linspace(0, len(_GRID) - 1, steps).round().astype(int)
        choices = [tuple(_GRID[at] for at in places)] * exit_count
    else:
        places = np.linspace(0, len(_LEAVING) - 1, steps - 1).round().astype(int)
        shares = 1 - np.array(_LEAVING)[places]
        choices = [(*np.unique(np.quantile(s, shares)), CLOSED) for s in scores]
    return np.array(list(itertools.product(*choices)))


def _watching(vectors: Floats, manifest: Manifest, policy: FittedPolicy) -> Floats:
    """Return threshold vectors, (V, exits), in which what an open exit needs is not closed.

    It needs those whose code its head goes on from, and all before it if the policy looks back on
    them. What was closed is only watched.
    """
    watched = vectors.copy()
    for at in range(vectors.shape[1]):
        runs, scored = vectors[:, at] < CLOSED, vectors[:, at] <= 1
        for before in range(at):
            needed = runs if before in manifest.leading_to(at) else scored
            if policy.rule.looks_back or needed is runs:
                watched[needed & (watched[:, before] >= CLOSED), before] = WATCHED
    return watched


@dataclass(frozen=True)
class _Leaving:
    """What V threshold vectors, ``grid`` (V, exits), do with the samples up to one cut.

    ``stays``, float64 (V, N), is 1 where no exit is sure; ``shares`` (V, exits) leave at each exit,
    and ``right`` (V,) counts the right answers among those that leave.
    """

    grid: Floats
    stays: Floats
    shares: Floats
    right: Floats

    @classmethod
    def by(cls, scores: Array, grid: Floats, exits_right: Floats) -> _Leaving:
        """Let N samples leave by the scores of the exits, (exits, N).

        ``exits_right``, (E, N) for all E exits of the model, is 1 where one answers rightly.
        """
        samples, right = exits_right.shape[1], np.zeros(len(grid))
        stays, shares = np.ones((len(grid), samples), bool), np.zeros(grid.shape)
        for at, score in enumerate(scores):
            leaves = stays & (score >= grid[:, at, None])
            stays &= ~leaves
            shares[:, at] = leaves.mean(axis=1)
            right += leaves @ exits_right[at]
        return cls(grid, stays.astype(np.float64), shares, right)


def _evaluate(
    recorded: Recorded, place: Place, leaving: _Leaving, *, prune: bool = True
) -> Candidates:
    manifest, calibration = recorded.manifest, recorded.calibration
    (cut, level), labels, grid = place, calibration.labels, leaving.grid
    right = _right(manifest, calibration, place, leaving)
    here = right if level is None else _right(manifest, calibration, (cut, None), leaving)
    sizes = np.zeros(len(labels), np.int32) if level is None else calibration.sizes[cut, level]
    stay_share = leaving.stays.mean(axis=1)
    bytes_mean = leaving.stays @ sizes.astype(np.float64) / len(labels)
    least = np.minimum(right, here)
    kept = np.arange(len(grid))
    if prune:
        kept = _undominated(np.stack([right, least], axis=1), leaving, (bytes_mean, sizes))
    return Candidates(
        policy=manifest.policy,
        cut=np.full(len(kept), cut),
        level=(level,) * len(kept),
        thresholds=grid[kept],
        accuracy=right[kept] / len(labels),
        exit_shares=leaving.shares[kept],
        sent_share=stay_share[kept] * (level is not None),
        bytes_mean=bytes_mean[kept],
        sent_bytes=_sent_bytes(leaving.stays[kept], sizes),
        hedged_accuracy=least[kept] / len(labels),
        whole_accuracy=calibration.accuracy,
        recorded=recorded,
    )


def _right(
    manifest: Manifest,
    calibration: Calibration,
    place: Place,
    leaving: _Leaving,
) -> Floats:
    """Return how many samples each threshold vector answers rightly, (V,).

    Without a level those that stay are answered by the model on the device.
    """
    (cut, level), labels = place, calibration.labels
    if level is None:
        final = calibration.final_logits.argmax(axis=-1) == labels
    else:
        final = calibration.answers[cut, level] == labels
    right: Floats = leaving.right + leaving.stays @ final.astype(np.float64)
    joint = joint_answers(manifest, calibration, cut, level)
    if joint is not None:
        both = leaving.right + leaving.stays @ (joint == labels).astype(np.float64)
        right = np.where(leaving.grid[:, -1] < CLOSED, both, right)
    return right


def _sent_bytes(stays: Floats, sizes: NDArray[Any]) -> NDArray[np.int32]:
    """Return the sizes of the samples that stay, in ascending order behind zeros, (V, N)."""
    return np.sort((stays * sizes).astype(np.int32), axis=1)


def _undominated(
    right: Floats, leaving: _Leaving, load: tuple[Floats, NDArray[Any]]
) -> NDArray[np.int64]:
    """Return the rows that no other row matches or beats in accuracy and in every latency.

    ``right`` (V, 2) counts right answers without and with a hedge; ``load`` holds the bytes of
    each row in the mean, (V,), and those of each sample, (N,).

    A row is as fast as another if it runs no exit that the other leaves closed, if at each exit
    at least as many samples are gone, and if its k-th longest message is no longer, for all k:
    fewer samples sent can still be more bytes, and fewer bytes one longer message. Where nothing is
    sent, that holds of all.
    """
    bytes_mean, sizes = load
    runs, gone = leaving.grid < CLOSED, leaving.shares.cumsum(axis=1)
    order = np.lexsort((bytes_mean, *-gone.T, *-right.T[::-1]))
    # Of two rows in this order the later one is never the more accurate of the two.
    rivals = np.triu(np.ones((len(order), len(order)), bool), 1)
    for costs in (bytes_mean, -right[:, 1], *-gone.T, *runs.T.astype(np.float64)):
        rivals &= costs[order][:, None] <= costs[order] + _EXACT
    sent: dict[int, NDArray[np.int32]] = {}

    def longest(row: int) -> NDArray[np.int32]:
        if row not in sent:
            sent[row] = _sent_bytes(leaving.stays[row : row + 1], sizes)[0]
        return sent[row]

    def beats(rival: int, row: int) -> bool:
        """Tell whether no message is longer; surely not if only samples are sent that row sends."""
        subset = (leaving.stays[rival] <= leaving.stays[row]).all()
        return bool(subset or (longest(rival) <= longest(row)).all())

    stands = np.ones(len(order), bool)
    for at in np.flatnonzero(rivals.any(axis=0)):
        row = int(order[at])
        stands[at] = not any(beats(int(order[by]), row) for by in np.flatnonzero(rivals[:, at]))
    return order[stands]


def _join(parts: list[Candidates], exit_count: int) -> Candidates:
    def padded(arrays: list[Floats], fill: float) -> Floats:
        joined = np.full((sum(map(len, arrays)), exit_count), fill)
        start = 0
        for array in arrays:
            joined[start : start + len(array), : array.shape[1]] = array
            start += len(array)
        return joined

    return Candidates(
        policy=parts[0].policy,
        cut=np.concatenate([part.cut for part in parts]),
        level=tuple(itertools.chain.from_iterable(part.level for part in parts)),
        thresholds=padded([part.thresholds for part in parts], CLOSED),
        accuracy=np.concatenate([part.accuracy for part in parts]),
        exit_shares=padded([part.exit_shares for part in parts], 0.0),
        sent_share=np.concatenate([part.sent_share for part in parts]),
        bytes_mean=np.concatenate([part.bytes_mean for part in parts]),
        sent_bytes=np.concatenate([part.sent_bytes for part in parts]),
        hedged_accuracy=np.concatenate([part.hedged_accuracy for part in parts]),
        whole_accuracy=parts[0].whole_accuracy,
        recorded=parts[0].recorded,
    )

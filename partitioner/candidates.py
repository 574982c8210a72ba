"""Candidates: every cut, codec level and threshold vector, evaluated on the calibration samples.

What does not depend on the conditions (accuracy, exit shares, bytes) is computed once. Under
given conditions a candidate's mean latency is then affine in 1 / bandwidth, and a quantile is one
order statistic: a sample that leaves is always earlier than one that is sent, and among those sent
the one with more bytes is later. So evaluation is exact and needs no pass over the samples.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.bundle import Bundle
from offramp.calibration import Calibration
from offramp.exits import FittedPolicy
from offramp.exits.policy import CLOSED, WATCHED
from partitioner.dominance import undominated
from partitioner.leaving import Leaving, sort_sent_bytes
from partitioner.recorded import Floats, Place, Recorded
from partitioner.threshold_grid import threshold_vectors

__all__ = ["CLOSED", "WATCHED", "Candidates", "build_candidates", "evaluate"]


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
        levels: list[str | None] = [level for at, level in calibration.levels if at == cut]
        if cut == max(manifest.cuts):
            levels = [None]
        for vectors, named in threshold_vectors(recorded, cut, levels):
            leaving = Leaving.of(recorded, cut, vectors)
            parts += [_evaluate(recorded, (cut, level), leaving) for level in named]
    return _join(parts, len(manifest.exits))


def evaluate(recorded: Recorded, wanted: Mapping[Place, Floats]) -> Candidates:
    """Evaluate given threshold vectors, (V, exits before the cut), at each place; all are kept."""
    parts = []
    for place, vectors in wanted.items():
        leaving = Leaving.of(recorded, place[0], vectors)
        parts.append(_evaluate(recorded, place, leaving, prune=False))
    return _join(parts, len(recorded.manifest.exits))


def _evaluate(
    recorded: Recorded, place: Place, leaving: Leaving, *, prune: bool = True
) -> Candidates:
    manifest, calibration = recorded.manifest, recorded.calibration
    (cut, level), labels, grid = place, calibration.labels, leaving.grid
    right = leaving.count_right(recorded, place)
    here = right if level is None else leaving.count_right(recorded, (cut, None))
    sizes = np.zeros(len(labels), np.int32) if level is None else calibration.sizes[cut, level]
    stay_share = leaving.stays.mean(axis=1)
    bytes_mean = leaving.stays @ sizes.astype(np.float64) / len(labels)
    least = np.minimum(right, here)
    kept = np.arange(len(grid))
    if prune:
        kept = undominated(np.stack([right, least], axis=1), leaving, (bytes_mean, sizes))
    return Candidates(
        policy=manifest.policy,
        cut=np.full(len(kept), cut),
        level=(level,) * len(kept),
        thresholds=grid[kept],
        accuracy=right[kept] / len(labels),
        exit_shares=leaving.shares[kept],
        sent_share=stay_share[kept] * (level is not None),
        bytes_mean=bytes_mean[kept],
        sent_bytes=sort_sent_bytes(leaving.stays[kept], sizes),
        hedged_accuracy=least[kept] / len(labels),
        whole_accuracy=calibration.accuracy,
        recorded=recorded,
    )


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

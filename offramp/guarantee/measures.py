"""Measures of an exit: how far its scores are from probabilities, and how well they rank."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.errors import InputError
from offramp.tensors import Array

__all__ = ["auroc", "brier", "calibration_error", "drop_interval", "share_interval"]

Floats = NDArray[np.float64]


def calibration_error(scores: Floats, right: Array, bins: int = 15) -> float:
    """Return the expected calibration error: the mean distance of score and accuracy over bins.

    The bins are of equal mass: each holds as many samples, give or take one, in the order of their
    scores (Nguyen and O'Connor, EMNLP 2015), since bins of equal width leave most of an exit's
    samples in the last one. Equal scores may fall in two bins. Fewer samples than bins: a bin each.
    """
    _check(scores, right)
    order = np.argsort(scores, kind="stable")
    gaps = (scores - right)[order]
    parts = np.array_split(gaps, min(bins, len(gaps)))
    return float(sum(abs(part.sum()) for part in parts) / len(gaps))


def brier(scores: Floats, right: Array) -> float:
    """Return the Brier score: the mean square of score less correctness (Brier, 1950)."""
    _check(scores, right)
    return float(np.mean((scores - right) ** 2))


def auroc(scores: Floats, right: Array) -> float:
    """Return the chance that a right answer scores higher than a wrong one, ties counting half.

    It is the area under the curve of true against false positives, exactly. NaN if all answers are
    right or all are wrong: then there is nothing to rank.
    """
    _check(scores, right)
    wrong = np.sort(scores[~right])
    if len(wrong) in (0, len(scores)):
        return float("nan")
    below = np.searchsorted(wrong, scores[right], side="left")
    not_above = np.searchsorted(wrong, scores[right], side="right")
    return float((below + not_above).mean() / (2 * len(wrong)))


def share_interval(count: int, samples: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a share that was seen ``count`` times (Clopper and Pearson)."""
    from scipy.special import betaincinv

    beyond = (1 - confidence) / 2
    low = betaincinv(count, samples - count + 1, beyond) if count else 0.0
    high = betaincinv(count + 1, samples - count, 1 - beyond) if count < samples else 1.0
    return float(low), float(high)


def drop_interval(losses: Array, confidence: float = 0.95) -> tuple[float, float]:
    """Return an interval of the mean of losses in {-1, 0, 1}, right with at least the confidence.

    It is that of the share that became worse less that of the share that became better, each with
    half of what may be wrong. Unlike the normal one it does not vanish where no loss was seen.
    """
    each = (1 + confidence) / 2
    worse, better = (
        share_interval(int(np.count_nonzero(losses == sign)), losses.size, each) for sign in (1, -1)
    )
    return worse[0] - better[1], worse[1] - better[0]


def _check(scores: Floats, right: Array) -> None:
    if scores.ndim != 1 or scores.shape != right.shape or not scores.size:
        raise InputError(
            f"scores of shape {scores.shape} and answers of shape {right.shape} are no samples of "
            "one exit; give one score and one answer for each"
        )
    if not ((scores >= 0) & (scores <= 1)).all():
        raise InputError("scores are not in [0, 1]; check the exit's logits and its policy")

"""Certificates: thresholds that keep an accuracy, and the confidence that they do.

Learn-then-Test (Angelopoulos et al., Annals of Applied Statistics 2025): some samples choose a path
of threshold vectors, all exits together (Pareto testing, Laufer-Goldshtein et al., ICLR 2023), the
others test along it and stop at the first failure. It is the default, and conformal risk control
(Angelopoulos et al., ICLR 2024) is not: that bounds the mean drop over all calibration sets that
might have been drawn, and in our benchmark 15 to 40% of them break it; this bounds the share of
those that do. `docs/design/2026-11-22-guarantee.md` has the argument.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError, InputError
from offramp.guarantee.budget import Budget
from offramp.guarantee.outcomes import Outcomes
from offramp.guarantee.p_values import P_VALUES
from offramp.guarantee.path import PATHS

__all__ = [
    "Certificate",
    "Method",
    "Parts",
    "Promise",
    "certify",
    "certify_each",
    "part_samples",
    "samples_needed",
]

CHOOSING_SHARE = 0.3
"""The share of samples that choose what is tested on the others."""

LEARNING_SHARE = 0.3
"""The share of samples that a policy learns from, if it learns; the others choose and test."""

_ANY = Budget()

Floats = NDArray[np.float64]
Parts = tuple[NDArray[np.int64], NDArray[np.int64]]
Place = TypeVar("Place", bound=Hashable)


@dataclass(frozen=True)
class Promise:
    """The accuracy drops by at most this much, both as shares of 1, with this probability."""

    max_accuracy_drop: float
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not 0 < self.max_accuracy_drop < 1:
            raise ConfigError(
                f"a largest drop in accuracy of {self.max_accuracy_drop:g} cannot be promised; "
                "give more than 0 and less than 1, such as 0.5%"
            )
        if not 0 < self.confidence < 1:
            raise ConfigError(
                f"a confidence of {self.confidence:g} cannot be had; give more than 0 and less "
                "than 1, such as 0.95"
            )

    def shared(self, places: int) -> Promise:
        """Return what each of some places must keep for all to keep this one (Bonferroni)."""
        return replace(self, confidence=1 - (1 - self.confidence) / places)


@dataclass(frozen=True)
class Method:
    """A p-value of `P_VALUES` and a path of `PATHS`."""

    p_value: str = "either"
    path: str = "ray"


@dataclass(frozen=True)
class Certificate:
    """Thresholds (E,) of which a promise holds, and what the testing samples say of them.

    ``accuracy_drop`` and ``mean_cost`` are means over the ``samples`` that tested. ``passed`` of
    ``path`` vectors did; these are the cheapest of them, with ``p_value``.
    """

    thresholds: Floats
    accuracy_drop: float
    mean_cost: float
    p_value: float
    samples: int
    passed: int
    path: int


def certify(
    outcomes: Outcomes,
    promise: Promise,
    dice: np.random.Generator,
    method: Method = Method(),
) -> Certificate | None:
    """Return the cheapest thresholds found of which the promise holds; None if there are none.

    There are none where a codec loses more than is promised even with all exits closed. ``dice``
    part the samples. Raises `InputError` if there are too few for any thresholds to pass.
    """
    parts = part_samples(outcomes.samples, dice)
    _check_count(outcomes.samples, promise, samples_needed(promise, method.p_value))
    return _certify(outcomes, promise, parts, method)


def certify_each(
    places: Mapping[Place, Outcomes],
    promise: Promise,
    parts: Parts,
    budgets: Mapping[Place, Budget] | None = None,
    learnt: int = 0,
) -> dict[Place, Certificate]:
    """Return a certificate for each place that has one; the promise holds of all of them at once.

    A place is a cut and a codec level, or the like; all have outcomes of the same samples, in
    ``parts`` by `part_samples`. Places may be picked by what the first part says of them. The
    chance to be wrong is dealt out evenly (Bonferroni). Thresholds keep to the mean cost and the
    share sent of a place's budget on the first part. Raises `InputError` if there are too few
    samples, counting the ``learnt`` ones that a policy has learnt from before.
    """
    counts = {outcomes.samples for outcomes in places.values()}
    if len(counts) != 1:
        raise ConfigError(
            f"places have {sorted(counts)} samples; give one place at least, all with the same"
        )
    each = promise.shared(len(places))
    needed = samples_needed(each, learns=learnt > 0)
    _check_count(counts.pop() + learnt, promise, needed, len(places))
    found = {
        place: _certify(outcomes, each, parts, Method(), budgets[place] if budgets else _ANY)
        for place, outcomes in places.items()
    }
    return {place: certificate for place, certificate in found.items() if certificate}


def samples_needed(promise: Promise, p_value: str = "either", learns: bool = False) -> int:
    """Return how many samples the promise needs at least, those that a policy learns from included.

    With as many, thresholds pass that change no answer of those that test; with fewer, none do.
    """
    test, delta, count = P_VALUES[p_value], 1 - promise.confidence, 1
    none = np.zeros(1, np.int64)

    def passes(count: int) -> bool:
        return bool(test(none, none, count, promise.max_accuracy_drop)[0] <= delta)

    while not passes(count):
        count *= 2
    low = count // 2
    while count - low > 1:
        middle = (low + count) // 2
        low, count = (low, middle) if passes(middle) else (middle, count)
    samples = max(_before_parting(count, CHOOSING_SHARE), math.ceil(1 / CHOOSING_SHARE))
    return _before_parting(samples, LEARNING_SHARE) if learns else samples


def part_samples(samples: int, dice: np.random.Generator) -> Parts:
    """Return the rows of the samples that choose, and of those that test."""
    order = dice.permutation(samples)
    choosing = int(samples * CHOOSING_SHARE)
    return order[:choosing], order[choosing:]


def _check_count(samples: int, promise: Promise, needed: int, places: int = 1) -> None:
    if samples < needed:
        each = f" for {places} cuts and codec levels at once" if places > 1 else ""
        raise InputError(
            f"{samples} calibration samples are too few to promise a drop in accuracy of at most "
            f"{promise.max_accuracy_drop:.3%} with confidence {promise.confidence:.6g}{each}; give "
            f"at least {needed}, or ask for less"
        )


def _before_parting(count: int, share: float) -> int:
    """Return the fewest samples of which so many are left when a share is taken off."""
    samples = int((count - 1) / (1 - share))
    while samples - int(samples * share) < count:
        samples += 1
    return samples


def _certify(
    outcomes: Outcomes, promise: Promise, parts: Parts, method: Method, budget: Budget = _ANY
) -> Certificate | None:
    chosen, tested = (outcomes.select(rows) for rows in parts)
    path = PATHS[method.path](chosen, promise.max_accuracy_drop, budget.sent_share)
    losses = tested.losses(path)
    worse, better = (losses > 0).sum(axis=1), (losses < 0).sum(axis=1)
    values = P_VALUES[method.p_value](worse, better, tested.samples, promise.max_accuracy_drop)
    failed = np.flatnonzero(values > 1 - promise.confidence)
    passed = int(failed[0]) if failed.size else len(path)
    kept = np.flatnonzero(budget.keeps(chosen, path[:passed]))
    if not kept.size:
        return None
    costs = tested.mean_cost(path)
    best = int(kept[::-1][costs[kept[::-1]].argmin()])
    return Certificate(
        thresholds=path[best],
        accuracy_drop=float(losses[best].mean()),
        mean_cost=float(costs[best]),
        p_value=float(values[best]),
        samples=tested.samples,
        passed=passed,
        path=len(path),
    )

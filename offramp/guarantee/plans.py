"""Plans: for which cuts and codec levels thresholds keep a promise, all of them at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp import codecs
from offramp.bundle import Manifest
from offramp.bundle.guarantee import Certified, Guarantee
from offramp.calibration import Calibration
from offramp.guarantee.certificate import Certificate, Promise, certify_each, part_samples
from offramp.guarantee.outcomes import CLOSED, Outcomes
from offramp.guarantee.recorded import Place, recorded_outcomes
from offramp.tensors import Array

__all__ = ["Places", "certify_plans", "find_places"]


@dataclass(frozen=True)
class Places:
    """The cuts and codec levels worth certifying, and what samples do there.

    ``outcomes`` by a place that stands for others with the very same answers; ``same`` names them
    all. A cut before the first exit has one that answers nobody.
    """

    outcomes: dict[Place, Outcomes]
    same: dict[Place, list[Place]]


def certify_plans(
    manifest: Manifest, calibration: Calibration, scores: Array, promise: Promise, seed: int = 0
) -> Guarantee:
    """Return what can be promised of a bundle's plans.

    ``scores`` (E, N) are those of its exit policy. Some of the samples, drawn by ``seed``, choose
    levels and thresholds, the others test them. What answers as the whole model does needs no test.
    Raises `InputError` on too few samples.
    """
    parts = part_samples(len(calibration.labels), np.random.default_rng(seed))
    places = find_places(manifest, calibration, scores, parts[0])
    found = certify_each(places.outcomes, promise, parts)
    plans = [
        _certified(manifest, place, certificate, places.outcomes[first])
        for first, certificate in found.items()
        for place in places.same[first]
    ]
    plans += [plan for plan in _whole_models(manifest) if plan not in plans]
    return Guarantee(
        max_accuracy_drop=promise.max_accuracy_drop,
        confidence=promise.confidence,
        samples=len(parts[1]),
        plans=tuple(sorted(plans, key=lambda plan: (plan.cut, plan.level or "", -plan.left_share))),
    )


def find_places(
    manifest: Manifest, calibration: Calibration, scores: Array, chosen: NDArray[Any]
) -> Places:
    """Return the places worth certifying, by the samples that choose.

    A codec level is left out if another of the same cut takes no more bytes and is right at least
    as often. Lossless levels behind the same exits give the same answers and count as one, since
    each place that is tested costs some of the confidence.
    """
    outcomes: dict[Place, Outcomes] = {}
    same: dict[Place, list[Place]] = defaultdict(list)
    for cut in manifest.cuts:
        for level in _levels(manifest, calibration, cut, chosen):
            here = recorded_outcomes(manifest, calibration, scores, (cut, level))
            first = next(
                (
                    other
                    for other, there in outcomes.items()
                    if _lossless(level) and _lossless(other[1]) and _equal(here, there)
                ),
                (cut, level),
            )
            outcomes.setdefault(first, here)
            same[first].append((cut, level))
    return Places(outcomes, dict(same))


def _levels(
    manifest: Manifest, calibration: Calibration, cut: int, chosen: NDArray[Any]
) -> list[str | None]:
    if cut == max(manifest.cuts):
        return [None]
    found = [
        (
            float(calibration.sizes[place][chosen].mean()),
            -float((calibration.answers[place] == calibration.labels)[chosen].mean()),
            level,
        )
        for place in calibration.levels
        for level in [place[1]]
        if place[0] == cut
    ]
    kept: list[tuple[float, float, str]] = []
    for size, wrong, level in sorted(found):
        if not kept or wrong < kept[-1][1]:
            kept.append((size, wrong, level))
    return [level for _, _, level in kept]


def _certified(
    manifest: Manifest, place: Place, certificate: Certificate, outcomes: Outcomes
) -> Certified:
    cut, level = place
    left = outcomes.places(certificate.thresholds) < outcomes.exits
    return Certified(
        cut=cut,
        level=level,
        thresholds=tuple(certificate.thresholds[: manifest.exits_before(cut)].tolist()),
        accuracy_drop=certificate.accuracy_drop,
        left_share=float(left.mean()),
    )


def _whole_models(manifest: Manifest) -> Iterator[Certified]:
    """Yield the plans that answer as the whole model does, by construction: they lose nothing.

    Quantised heads make another boundary than exact ones, so then only the device's own answer is.
    """
    for cut, boundary in enumerate(manifest.boundaries):
        closed = (CLOSED,) * manifest.exits_before(cut)
        levels = [] if manifest.quantised else filter(_lossless, boundary.levels)
        for level in [None] if cut == max(manifest.cuts) else levels:
            yield Certified(
                cut=cut, level=level, thresholds=closed, accuracy_drop=0.0, left_share=0.0
            )


def _lossless(level: str | None) -> bool:
    return level is None or codecs.get(level).lossless


def _equal(one: Outcomes, other: Outcomes) -> bool:
    return one.exits == other.exits and all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("scores", "costs", "final_right")
    )

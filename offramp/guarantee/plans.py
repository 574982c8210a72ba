"""Plans: for which cuts and codec levels thresholds keep what is wished, all of them at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp import codecs, exits
from offramp.bundle import Manifest
from offramp.bundle.allowed import Allowed, AllowedPlan, Promised
from offramp.calibration import Calibration
from offramp.errors import PlanError
from offramp.guarantee.budget import spend
from offramp.guarantee.certificate import Parts, certify_each, part_samples
from offramp.guarantee.device_costs import Place
from offramp.guarantee.measures import drop_interval
from offramp.guarantee.outcomes import CLOSED, Outcomes
from offramp.guarantee.recorded import recorded_outcomes
from offramp.guarantee.refusals import nothing_alone
from offramp.guarantee.wish import Room, Wish, find_room
from offramp.tensors import Array

__all__ = ["Places", "choose_plans", "find_places"]

_VECTORS = 50_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Places:
    """The cuts and codec levels worth calibrating, and what samples do there.

    ``outcomes`` by a place that stands for others with the very same answers; ``same`` names them
    all. A cut before the first exit has one that answers nobody. Where nothing is sent before the
    last cut, the outcomes are those of a model that ends at the last exit.
    """

    outcomes: dict[Place, Outcomes]
    same: dict[Place, list[Place]]


def choose_plans(
    manifest: Manifest, calibration: Calibration, scores: Array, wish: Wish, learnt: int = 0
) -> Allowed:
    """Return the plans that keep what is wished, and what was seen of them on other samples.

    ``scores`` (E, N) are those of the wish's exit policy. Some of the samples, drawn by its seed,
    choose levels and thresholds; the others test a promise, or say what the plans are worth. What
    answers as the whole model does needs no test. Raises `InputError` on too few samples, of which
    the policy has ``learnt`` from some more, and `PlanError` if no plan that sends nothing keeps
    it: a device must be able to answer alone.
    """
    parts = _part(len(calibration.labels), wish)
    room = find_room(manifest, wish)
    places = find_places(manifest, calibration, scores, parts[0], wish)
    found = (
        _certified(places, parts, wish, learnt) if wish.promise else _afforded(places, parts, wish)
    )
    plans = [
        _plan(manifest, place, thresholds, places.outcomes[first].select(parts[1]), _timed(wish))
        for first, thresholds in found.items()
        for place in places.same[first]
    ]
    if wish.promise:
        plans += _whole_models(manifest, room, wish)
    if all(plan.level for plan in plans):
        alone = next(first for first, same in places.same.items() if room.alone in same)
        raise nothing_alone(places.outcomes[alone], wish, parts, len(places.outcomes))
    once = {(plan.cut, plan.level, plan.thresholds): plan for plan in plans}
    promise = wish.promise
    return Allowed(
        promised=promise
        and Promised(max_accuracy_drop=promise.max_accuracy_drop, confidence=promise.confidence),
        limits=wish.limits,
        reach=room.reach,
        samples=len(parts[1]),
        plans=tuple(sorted(once.values(), key=lambda p: (p.cut, p.level or "", -p.left_share))),
    )


def find_places(
    manifest: Manifest,
    calibration: Calibration,
    scores: Array,
    chosen: NDArray[Any],
    wish: Wish,
) -> Places:
    """Return the places worth calibrating that keep to peak limits, by the samples that choose.

    A codec level is left out if another of the same cut takes no more bytes and is right at least
    as often. Lossless levels behind the same exits give the same answers and count as one, since
    each place that is tested costs some of the confidence. Behind quantised heads they do not: each
    cut has answers of its own, and those that test must not say which are the same.
    """
    room, device = find_room(manifest, wish), wish.device
    outcomes: dict[Place, Outcomes] = {}
    same: dict[Place, list[Place]] = defaultdict(list)
    for place in [*_worth(calibration, room, chosen), room.alone]:
        here = recorded_outcomes(manifest, calibration, scores, place, device)
        if exits.get(wish.policy).looks_back or manifest.hands_on:
            # A closed exit may have to run for a later one.
            here = replace(here, heads=None)
        if place[1] is None and place[0] < max(manifest.cuts):
            here = here.ending_at(here.exits - 1)
        rivals = () if manifest.quantised else outcomes.items()
        alike = (
            other
            for other, there in rivals
            if _same_tail(manifest, place, other) and _alike((place, here), (other, there))
        )
        first = next(alike, place)
        outcomes.setdefault(first, here)
        same[first].append(place)
    return Places(outcomes, dict(same))


def _part(samples: int, wish: Wish) -> Parts:
    """Return the rows that choose, and the others; a promise needs most of them for its test."""
    fewer, more = part_samples(samples, np.random.default_rng(wish.seed))
    return (fewer, more) if wish.promise else (more, fewer)


def _worth(calibration: Calibration, room: Room, chosen: NDArray[Any]) -> Iterator[Place]:
    """Yield the levels of each cut that no other beats in bytes and accuracy."""
    for cut in sorted({cut for cut, _ in room.places}):
        found = sorted(
            (
                float(calibration.sizes[cut, level][chosen].mean()),
                -float((answers == calibration.labels)[chosen].mean()),
                level,
            )
            for at, level in calibration.levels
            for answers in [_end_answers(calibration, (at, level))]
            if at == cut and (cut, level) in room.places
        )
        least = 1.0
        for _, wrong, level in found:
            if wrong < least:
                least = wrong
                yield cut, level


def _end_answers(calibration: Calibration, place: tuple[int, str]) -> Array:
    """Return the end's answers at a place, together with an exit's where they are recorded."""
    return calibration.together.get(place, calibration.answers[place])


def _certified(places: Places, parts: Parts, wish: Wish, learnt: int) -> dict[Place, Floats]:
    assert wish.promise is not None
    budgets = {place: wish.budget(place) for place in places.outcomes}
    found = certify_each(places.outcomes, wish.promise, parts, budgets, learnt)
    return {place: certificate.thresholds for place, certificate in found.items()}


def _afforded(places: Places, parts: Parts, wish: Wish) -> dict[Place, Floats]:
    """Return the most accurate thresholds within the limits, where there are any."""
    found = {}
    for place, outcomes in places.outcomes.items():
        try:
            spent = spend(outcomes.select(parts[0]), wish.budget(place), _VECTORS)
        except PlanError:
            continue
        found[place] = spent.thresholds
    return found


def _plan(
    manifest: Manifest, place: Place, thresholds: Floats, reported: Outcomes, timed: bool
) -> AllowedPlan:
    """Return a place's plan with what the samples that report say of it."""
    (cut, level), active = place, manifest.exits_before(place[0])
    ends_at_exit = level is None and cut < max(manifest.cuts)
    vector = tuple(thresholds[: active - ends_at_exit].tolist()) + (0.0,) * ends_at_exit
    losses = reported.losses(thresholds)
    return AllowedPlan(
        cut=cut,
        level=level,
        thresholds=vector,
        accuracy_drop=float(losses.mean()),
        drop_interval=drop_interval(losses),
        left_share=1.0 if ends_at_exit else float(1 - reported.sent_share(thresholds)),
        mean_s=float(reported.mean_cost(thresholds)) if timed else None,
    )


def _whole_models(manifest: Manifest, room: Room, wish: Wish) -> Iterator[AllowedPlan]:
    """Yield the plans that answer as the whole model does, by construction: they lose nothing.

    Quantised heads make another boundary than exact ones, so then only the device's own answer is.
    Where the server answers at exits behind a cut, it does not answer as the whole model does.
    """
    for place in [*sorted(() if manifest.quantised else room.places), room.alone]:
        cut, level = place
        budget, mean_s = wish.budget(place), None
        if wish.device is not None:
            active = manifest.exits_before(cut)
            mean_s = float(wish.device.at(manifest, place)[-1] - wish.device.exits[:active].sum())
        whole = _lossless(level) and (level is not None or cut == max(manifest.cuts))
        whole = whole and not manifest.later_at(cut, level)
        if whole and budget.affords(mean_s or 0.0) and budget.sent_share >= 1:
            yield AllowedPlan(
                cut=cut,
                level=level,
                thresholds=(CLOSED,) * manifest.exits_before(cut),
                accuracy_drop=0.0,
                left_share=0.0,
                mean_s=mean_s if _timed(wish) else None,
            )


def _timed(wish: Wish) -> bool:
    return wish.device is not None and wish.device.unit == "s"


def _lossless(level: str | None) -> bool:
    return level is None or codecs.get(level).lossless


def _same_tail(manifest: Manifest, place: Place, rival: Place) -> bool:
    """Tell whether what crosses losslessly at either place is answered the same on the server."""
    here, there = manifest.later_at(*place), manifest.later_at(*rival)
    return here == there and (not here or place[0] == rival[0])


def _alike(one: tuple[Place, Outcomes], other: tuple[Place, Outcomes]) -> bool:
    """Tell whether two places are lossless and give the same answers at the same costs."""
    (place, here), (rival, there) = one, other
    return (
        _lossless(place[1])
        and _lossless(rival[1])
        and here.exits == there.exits
        and all(
            np.array_equal(getattr(here, name), getattr(there, name))
            for name in ("scores", "costs", "final_right")
        )
    )

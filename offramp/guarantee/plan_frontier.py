"""The frontier of a bundle's plans: cuts, codec levels and thresholds against three axes."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from offramp import exits
from offramp.bundle import Manifest
from offramp.bundle.frontier import MOST_PLANS, FrontierPlan, PlanFrontier
from offramp.calibration import Calibration
from offramp.guarantee.device_costs import DeviceCosts, Place
from offramp.guarantee.frontier import trace_sizes, unbeaten
from offramp.guarantee.outcomes import CLOSED
from offramp.guarantee.recorded import recorded_outcomes
from offramp.tensors import Array

__all__ = ["trace_plans"]

_VECTORS = 1_000
_FINEST = 64

Floats = NDArray[np.float64]


def trace_plans(
    manifest: Manifest, calibration: Calibration, scores: Array, device: DeviceCosts
) -> PlanFrontier:
    """Return the plans that no other beats in accuracy, device work and bytes sent.

    ``scores`` (E, N) are those of the manifest's exit policy, ``device`` says what counts as work.
    Of more than `MOST_PLANS` those are kept that stand for many.
    """
    whole = (max(manifest.cuts), None)
    plans = list(
        chain.from_iterable(
            _of_place(manifest, calibration, scores, place, device)
            for place in (whole, *sorted(calibration.levels))
        )
    )
    axes = _axes(plans)
    kept = unbeaten(axes)
    kept = kept[_spread(axes[:, kept], len(calibration.labels))]
    return PlanFrontier(
        unit=device.unit,
        machine=device.machine,
        samples=len(calibration.labels),
        plans=tuple(sorted((plans[row] for row in kept), key=lambda p: (-p.accuracy, p.device))),
    )


def _of_place(
    manifest: Manifest, calibration: Calibration, scores: Array, place: Place, device: DeviceCosts
) -> list[FrontierPlan]:
    (cut, level), samples = place, len(calibration.labels)
    active = manifest.exits_before(cut)
    outcomes = recorded_outcomes(manifest, calibration, scores, place, device)
    if exits.get(manifest.policy).looks_back or manifest.hands_on:
        # A closed exit may have to run for a later one.
        outcomes = replace(outcomes, heads=None)
    sizes = np.zeros(samples) if level is None else calibration.sizes[cut, level]
    if not active:  # the one exit answers nobody: closed, it is as if it were not there
        closed = np.full(outcomes.exits, CLOSED)
        plan = FrontierPlan(
            cut=cut,
            level=level,
            thresholds=(),
            accuracy=float(outcomes.final_right.mean()),
            device=float(outcomes.mean_cost(closed)),
            bytes_mean=float(sizes.mean()),
            sent_share=float(level is not None),
        )
        return [plan]
    found = trace_sizes(outcomes, sizes.astype(np.float64), _VECTORS)
    return [
        FrontierPlan(
            cut=cut,
            level=level,
            thresholds=tuple(thresholds[:active].tolist()),
            accuracy=float(found.accuracy[row]),
            device=float(found.mean_cost[row]),
            bytes_mean=float(found.mean_size[row]),
            sent_share=float(outcomes.sent_share(thresholds)) * (level is not None),
        )
        for row, thresholds in enumerate(found.thresholds)
    ]


def _axes(plans: list[FrontierPlan]) -> Floats:
    """Return (3, P), each the less the better."""
    return np.array([[p.device, -p.accuracy, p.bytes_mean] for p in plans]).T


def _spread(axes: Floats, samples: int) -> NDArray[np.int64]:
    """Return columns that stand for all: the most accurate of each box of a grid.

    The grid is the finest of which few enough boxes hold a plan, in equal ratios of device work,
    errors and bytes; plans that send nothing have boxes of their own. The best of each axis stay.
    """
    if axes.shape[1] <= MOST_PLANS:
        return np.arange(axes.shape[1])
    work, negative, size = axes
    floor = max(float(work.max()) * 1e-2, 1e-12)
    scaled = np.log([work + floor, 1 + negative + 1 / samples, size + 1])
    least, most = scaled.min(axis=1, keepdims=True), scaled.max(axis=1, keepdims=True)
    shares = (scaled - least) / np.maximum(most - least, 1e-9)
    order = np.argsort(negative, kind="stable")
    best = np.unique(np.argmin(axes, axis=1))
    for boxes in range(_FINEST, 0, -1):
        places = np.minimum((shares * boxes).astype(np.int64), boxes - 1)
        places[2, size == 0] = -1
        _, first = np.unique(places[:, order], axis=1, return_index=True)
        kept = np.union1d(order[first], best)
        if len(kept) <= MOST_PLANS:
            return kept
    return best

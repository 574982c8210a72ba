"""The frontier of plans: no cut, codec level and thresholds beat what is stored."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.bundle import Bundle, Manifest
from offramp.bundle.frontier import MOST_PLANS
from offramp.calibration import load_calibration, score_exits
from offramp.exits.fitted import load_policy
from offramp.guarantee.device_costs import count_macs
from offramp.guarantee.frontier import unbeaten
from offramp.guarantee.plan_frontier import trace_plans
from tests.offramp.guarantee.test_plans import (
    DEVICE,
    ENSEMBLE,
    LEVELS,
    MANIFEST,
    every_vector,
    follow,
    made_calibration,
)


def beats(one: Any, other: Any) -> bool:
    """Tell whether one (accuracy, work, bytes) is better than another and nowhere worse."""
    better = (one[0] - other[0], other[1] - one[1], other[2] - one[2])
    return min(better) >= -1e-9 and max(better) > 1e-9


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 1000), manifest=st.sampled_from([MANIFEST, ENSEMBLE]))
def test_no_plan_at_all_beats_one_of_the_frontier(seed: int, manifest: Manifest) -> None:
    calibration, scores = made_calibration(seed, 12)
    rows = np.arange(12)
    found = trace_plans(manifest, calibration, scores, DEVICE)
    assert (found.unit, found.machine, found.samples) == ("s", "a board", 12)
    for plan in found.plans:
        made = follow(manifest, calibration, scores, rows, (plan.cut, plan.level, plan.thresholds))
        assert (plan.accuracy, plan.device, plan.sent_share) == pytest.approx(made)
        size = 0 if plan.level is None else int(calibration.sizes[plan.cut, plan.level][0])
        assert plan.bytes_mean == pytest.approx(size * plan.sent_share)
    told = [(plan.accuracy, plan.device, plan.bytes_mean) for plan in found.plans]
    places = [*itertools.product(range(4), LEVELS), (4, None)]
    for cut, level in places:
        size = {"affine4": 10, "raw": 40, None: 0}[level]
        for vector in every_vector(scores, rows, MANIFEST.exits_before(cut)):
            made = (cut, level, vector)
            accuracy, work, sent = follow(manifest, calibration, scores, rows, made)
            tried = (accuracy, work, size * sent)
            assert not any(beats(tried, one) for one in told), (cut, level, vector)
            if len(found.plans) < MOST_PLANS:  # then none was left out
                assert any(beats(one, tried) or one == pytest.approx(tried) for one in told)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=60))
def test_what_is_unbeaten_is_all_that_is(columns: list[tuple[int, int, int]]) -> None:
    axes = np.array(columns, dtype=np.float64).T
    kept = [columns[at] for at in unbeaten(axes)]
    assert len(kept) == len(set(kept))

    def beaten(one: tuple[int, ...]) -> bool:
        return any(o != one and all(a <= b for a, b in zip(o, one, strict=True)) for o in columns)

    assert set(kept) == {one for one in columns if not beaten(one)}


def test_of_many_plans_few_stand_for_all(embedded: Bundle) -> None:
    manifest, calibration = embedded.manifest, load_calibration(embedded)
    scores = score_exits(manifest, calibration, load_policy(embedded))
    found = trace_plans(manifest, calibration, scores, count_macs(manifest))
    assert (found.unit, found.machine) == ("macs", None)
    assert 50 < len(found.plans) <= MOST_PLANS
    told = [(plan.accuracy, plan.device, plan.bytes_mean) for plan in found.plans]
    assert not any(beats(one, other) for one, other in itertools.permutations(told, 2))
    assert told == sorted(told, key=lambda one: (-one[0], one[1]))
    assert found.plans[0].accuracy >= calibration.accuracy
    alone = [plan for plan in found.plans if not plan.bytes_mean]
    assert len(alone) >= 5
    assert max(plan.accuracy for plan in alone) >= calibration.accuracy - 0.01

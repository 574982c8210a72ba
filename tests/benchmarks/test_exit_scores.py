"""The way through thresholds: chosen on one half, counted on the test samples."""

import numpy as np
import pytest

from benchmarks.exit_scores import BELOW_TAIL, best_offload, walk
from benchmarks.exit_tasks import Recorded
from offramp.exits import POLICIES
from offramp.exits.ensemble import fit_ensemble
from offramp.exits.evidence import Evidence, Truth

TIMES_S = np.array([1e-3, 3e-3])


def draw(seed: int, samples: int = 4_000) -> Evidence:
    """One exit, right on all samples that it is sure of and on half of the others."""
    dice = np.random.default_rng(seed)
    labels = dice.integers(0, 2, samples)
    sure = dice.random(samples) < 0.7
    answers = np.where(sure | (dice.random(samples) < 0.5), labels, 1 - labels)
    height = np.where(sure, 4.0, 0.5) + dice.normal(0, 0.1, samples)
    logits = np.eye(2)[answers] * height[:, None]
    final = np.eye(2)[labels] * 8.0
    return Evidence((logits,), truth=Truth(labels, final, np.array([1.0, 4.0])))


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    return Recorded(draw(2), draw(0), draw(1), (None,))


def test_nobody_who_is_unsure_leaves_where_nothing_may_be_lost(recorded):
    found = walk(POLICIES["confidence"], recorded, TIMES_S).chosen(0.0)
    assert found.leaving == pytest.approx(0.7, abs=0.02)
    assert found.drop == pytest.approx(0, abs=3e-3)
    assert found.macs == pytest.approx(found.leaving * 0.25 + (1 - found.leaving), abs=1e-9)
    assert found.time == pytest.approx(found.leaving / 3 + (1 - found.leaving), abs=1e-9)


def test_more_may_leave_where_more_may_be_lost(recorded):
    found = walk(POLICIES["margin"], recorded, TIMES_S)
    shares = [found.chosen(drop).leaving for drop in (0.0, 0.01, 0.05, 0.2)]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert found.chosen(0.05).drop == pytest.approx(0.05, abs=0.02)


def test_the_point_that_the_test_samples_choose_costs_no_more(recorded):
    found = walk(POLICIES["confidence"], recorded, TIMES_S)
    for drop in (0.01, 0.05):
        assert found.least_macs(drop) == found.macs[found.drop <= drop].min()
    assert found.least_macs(-0.5) is None  # no thresholds mend so much


def test_sending_on_is_counted_for_one_exit(recorded):
    right = recorded.test.right
    found = walk(POLICIES["oracle"], recorded, TIMES_S)
    needed = (~right[0]).mean() - BELOW_TAIL
    assert best_offload(recorded.test) == pytest.approx((needed,), abs=1e-3)
    assert found.offload == pytest.approx((needed + BELOW_TAIL,), abs=1e-9)  # all go together
    blind = walk(POLICIES["confidence"], recorded, TIMES_S).offload[0]
    assert blind > 1.5 * needed


def half_blind(seed: int) -> Evidence:
    """One exit is sure of even labels and the model of odd ones; each is blind to the others."""
    labels = np.random.default_rng(seed).integers(0, 4, 600)
    seen = np.eye(4)[labels] * 3.0
    even = (labels % 2 == 0)[:, None]
    truth = Truth(labels, np.where(even, 0.0, seen), np.array([1.0, 2.0]))
    return Evidence((np.where(even, seen, 0.0),), truth=truth)


def test_the_end_knows_together_with_an_exit_what_either_knows():
    held_out, test = half_blind(0), half_blind(1)
    truth = held_out.recorded
    ensemble = fit_ensemble(held_out.logits[0], truth.final_logits, truth.labels)
    recorded = Recorded(half_blind(2), held_out, test, (ensemble,))
    assert test.right.mean(axis=1).max() < 0.8
    assert recorded.end_right(test, 0).all()
    found = walk(POLICIES["confidence"], recorded, TIMES_S)
    assert found.offload_joined[0] <= found.offload[0]
    alone = walk(POLICIES["confidence"], Recorded(half_blind(2), held_out, test, (None,)), TIMES_S)
    assert alone.offload == found.offload == alone.offload_joined

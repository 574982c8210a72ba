"""Drift: false alarms on endless streams, and what becomes of blurred, noisy and shifted inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from offramp.bundle import Bundle
from offramp.embedded.cluttered_digits import load
from offramp.errors import ConfigError
from offramp.exits.fitted import load_policy
from offramp.exits.recording import record
from offramp.guarantee import CLOSED, DriftWatch, Expected, Moved, Outcomes, expect
from offramp.network import Network
from offramp.samples import LabelledSamples

Draw = Callable[[int, int, int], Outcomes]
THRESHOLDS = np.array([0.9, CLOSED, 0.8])


def _watch(expected: Expected, stream: Outcomes, thresholds: Any = THRESHOLDS) -> Moved | None:
    watch = DriftWatch(expected)
    for place, scores in zip(
        stream.places(thresholds).tolist(), stream.scores.T.tolist(), strict=True
    ):
        moved = watch.observe(place, scores)
        if moved:
            return moved
    return None


def test_there_are_no_more_false_alarms_than_promised(draw_outcomes: Draw) -> None:
    """Each stream is of the law that drew its calibration; alpha is large so that it shows."""
    alarms = 0
    for seed in range(60):
        drawn = draw_outcomes(3, 1_100, seed)
        calibration, stream = drawn.select(np.arange(300)), drawn.select(np.arange(300, 1_100))
        alarms += _watch(expect(calibration, THRESHOLDS, 0.2), stream) is not None
    assert alarms <= 0.2 * 60


def test_betting_raises_no_more_false_alarms_than_its_half_at_the_border() -> None:
    """Both means lie on their bounds, the worst that is no drift; exits come and go for ever."""
    border = Expected((0,), ("left", "score"), (0.3, 0.5), (0.3, 0.5), (0.3, 0.5), 0.5)
    dice, alarms = np.random.default_rng(2), 0
    for _ in range(60):
        watch = DriftWatch(border)
        left, scores = dice.random(1_000) < 0.3, (dice.random(1_000) < 0.5).astype(float)
        places = np.where(left, 0, 1).tolist()
        for place, score in zip(places, scores.tolist(), strict=True):
            moved = watch.observe(place, [score])
        alarms += moved is not None
    assert alarms <= 0.25 * 60


@pytest.mark.parametrize("after", [0, 5_000])
def test_a_change_is_seen_soon_however_late_it_comes(after: int) -> None:
    low, high = (0.55, 0.75), (0.65, 0.85)
    expected = Expected((0,), ("left", "score"), (0.6, 0.8), low, high, 0.01)
    watch, dice = DriftWatch(expected), np.random.default_rng(1)
    for left in (dice.random(after) < 0.6).tolist():
        assert watch.observe(0 if left else 1, [0.8]) is None
    moved = next(
        filter(None, (watch.observe(0 if dice.random() < 0.2 else 1, [0.8]) for _ in range(100)))
    )
    assert moved.name == "left"
    assert after < moved.samples < after + 100
    assert str(moved).startswith(f"left: {moved.recent:.3f} of late, 0.550 to 0.650 in calib")


def test_it_says_which_mean_moved() -> None:
    low, high = (0.55, 0.75), (0.65, 0.85)
    expected = Expected((0,), ("left", "score"), (0.6, 0.8), low, high, 0.01)
    watch, dice = DriftWatch(expected), np.random.default_rng(1)
    for left in (dice.random(400) < 0.6).tolist():
        moved = watch.observe(0 if left else 1, [0.5])
    assert moved is not None
    assert moved.name == "score"
    assert (moved.low, moved.high) == (0.75, 0.85)
    assert moved.recent == pytest.approx(0.5)


def test_what_did_not_run_is_not_read(draw_outcomes: Draw) -> None:
    outcomes = draw_outcomes(3, 400, 0)
    expected = expect(outcomes, THRESHOLDS)
    assert expected.exits == (0, 2)
    assert expected.names == (
        "share that leaves at exit 0",
        "share that leaves at exit 2",
        "mean score at exit 0",
        "mean score at exit 2",
    )
    full, sparse = DriftWatch(expected), DriftWatch(expected)
    for place, scores in zip(outcomes.places(THRESHOLDS).tolist(), outcomes.scores.T, strict=True):
        seen = [s if at <= place and at != 1 else np.nan for at, s in enumerate(scores)]
        assert full.observe(place, scores.tolist()) == sparse.observe(place, seen)
    np.testing.assert_array_equal(full._capital, sparse._capital)


def test_samples_that_run_out_of_time_raise_no_false_alarm(draw_outcomes: Draw) -> None:
    """Who is not sure at the first exit is slow and never gets to the third."""
    drawn = draw_outcomes(3, 4_000, 5)
    calibration, stream = drawn.select(np.arange(1_000)), drawn.select(np.arange(1_000, 4_000))
    late = np.array([[0], [1], [1]]) * (stream.places(THRESHOLDS) > 0)
    scores = np.where(late, np.nan, stream.scores)
    places = np.where(late[1], 3, stream.places(THRESHOLDS))
    watch = DriftWatch(expect(calibration, THRESHOLDS, 0.2))
    told = [watch.observe(int(p), s.tolist()) for p, s in zip(places, scores.T, strict=True)]
    assert told[-1] is None
    sinking = [watch.observe(3, [score, np.nan, np.nan]) for score in [0.3] * 300]
    assert sinking[-1] is not None  # and what drifts at the first exit is seen all the same


def test_bounds_hold_the_true_mean_as_often_as_said(draw_outcomes: Draw) -> None:
    """Over 200 calibration sets, all bounds of a set hold but for half of alpha."""
    population = draw_outcomes(3, 20_000, 0)
    true = expect(population, THRESHOLDS).mean
    missed, alpha = 0, 0.5
    for seed in range(200):
        rows = np.random.default_rng(seed).integers(0, 20_000, 200)
        found = expect(population.select(rows), THRESHOLDS, alpha)
        held = [
            low <= mean <= high for low, mean, high in zip(found.low, true, found.high, strict=True)
        ]
        missed += not all(held)
    assert 0 < missed <= alpha / 2 * 200


def test_an_exit_that_no_sample_came_to_is_expected_to_do_anything() -> None:
    right = np.ones(50, bool)
    scores = np.full((2, 50), 0.9)
    outcomes = Outcomes(scores, np.stack([right] * 2), right, np.array([1.0, 2.0, 3.0]), right)
    expected = expect(outcomes, np.array([0.5, 0.5]))
    assert (expected.low[-1], expected.high[-1]) == (0.0, 1.0)
    assert 0 < expected.low[0] < expected.high[0] == 1.0
    assert (expected.low[1], expected.high[1]) == (0.0, 1.0)
    assert 0 < expected.low[2] < expected.high[2] < 1.0


def test_a_chance_that_is_none_is_refused(draw_outcomes: Draw) -> None:
    for alpha in (0.0, 1.0, np.nan):
        with pytest.raises(ConfigError, match="false alarm"):
            expect(draw_outcomes(1, 10, 0), np.array([0.5]), alpha)


def _blurred(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    smooth = images.astype(np.float64)
    for axis in (1, 2) * 6:
        smooth = (np.roll(smooth, 1, axis) + 2 * smooth + np.roll(smooth, -1, axis)) / 4
    return smooth.astype(np.uint8)


def _noisy(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).normal(0, 60, images.shape)
    return (images + noise).clip(0, 255).astype(np.uint8)


SEEN = {
    "as they are": lambda images: images,
    "blurred": _blurred,
    "noisy": _noisy,
    "shifted": lambda images: np.roll(images, (20, 20), (1, 2)),
}


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    pytest.importorskip("sklearn")
    return load("test", 100)[0]


@pytest.mark.parametrize("seen", SEEN)
def test_other_inputs_of_the_embedded_bundle_are_noticed(
    seen: str, pictures: NDArray[np.uint8], embedded: Bundle, embedded_outcomes: Outcomes
) -> None:
    """A stream of 600 drawn from a hundred test images; three kinds of it are not as calibrated."""
    thresholds = np.array([0.95, 0.95, 0.9])
    scores = _scores(embedded, SEEN[seen](pictures))
    rows = np.random.default_rng(0).integers(0, len(pictures), 600)
    right = np.ones(600, bool)
    stream = Outcomes(scores[:, rows], np.stack([right] * 3), right, np.arange(4.0), right)
    moved = _watch(expect(embedded_outcomes, thresholds), stream, thresholds)
    assert (moved is None) == (seen == "as they are")


def _scores(bundle: Bundle, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    unknown = np.zeros(len(images), np.int64)
    return load_policy(bundle).scores(record(Network(bundle), LabelledSamples((images,), unknown)))

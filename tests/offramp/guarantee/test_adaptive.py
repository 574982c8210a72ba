"""Adaptive thresholds on virtual streams: still ones, ones that drift, and ones that teach nothing.

Scores of two exits are drawn with the chance that each agrees with the end; drift makes the exits
surer than they may be, so that a fixed threshold lets too many leave that are wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.exits.policy import CLOSED, WATCHED
from offramp.guarantee import AdaptiveThresholds

PLAN = (0.8, 0.7)
SHARE = 0.02

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Drawn:
    """Scores (2, N), and whether the exits agree with the end, (2, N)."""

    scores: Floats
    agrees: Bools


def _draw(count: int, seed: int, agreeing: float = 0.8, worst: float = 3.0) -> Drawn:
    """Exits agree on a share of samples; where they do not, scores are Beta(worst, 4)."""
    dice = np.random.default_rng(seed)
    agrees = dice.random((2, count)) < [[agreeing], [agreeing + 0.1]]
    sure, unsure = dice.beta(8, 2, (2, count)), dice.beta(worst, 4, (2, count))
    return Drawn(np.where(agrees, sure, unsure), agrees)


def _adaptive(seed: int = 0, share: float = SHARE) -> AdaptiveThresholds:
    calibration = _draw(2000, 100)
    dice = np.random.default_rng(seed)
    return AdaptiveThresholds(calibration.scores, calibration.agrees, share, dice)


@dataclass(frozen=True)
class Told:
    """Of each sample whether its answer agrees, and whether it went on; thresholds after it."""

    right: Bools
    sent: Bools
    thresholds: Floats


def _run(rule: AdaptiveThresholds | None, drawn: Drawn, plan: tuple[float, ...] = PLAN) -> Told:
    """Let samples pass as a device does; without a rule the thresholds are the plan's."""
    right, sent, thresholds = [], [], []
    for scores, agrees in zip(drawn.scores.T.tolist(), drawn.agrees.T.tolist(), strict=True):
        now = rule.thresholds(plan) if rule else plan
        sure = [at for at in range(2) if scores[at] >= now[at]]
        sentinel = bool(sure and rule and rule.is_sentinel())
        goes_on = sentinel or not sure
        if rule and goes_on:
            rule.observe(scores, agrees, sentinel=sentinel)
        right.append(goes_on or agrees[sure[0]])
        sent.append(goes_on)
        thresholds.append(now)
    return Told(np.array(right), np.array(sent), np.array(thresholds))


def test_before_anything_is_seen_thresholds_are_the_plans() -> None:
    for plan in (PLAN, (0.123456, 0.99999), (0.0, 1.0), (CLOSED, 0.5), (WATCHED, 0.5)):
        assert _adaptive().thresholds(plan) == plan


def test_on_samples_like_those_of_calibration_they_stay_close() -> None:
    drawn = _draw(12_000, 1)
    fixed, told = _run(None, drawn), _run(_adaptive(), drawn)
    assert np.abs(told.thresholds - PLAN).max() < 0.12
    assert np.abs(told.thresholds.mean(axis=0) - PLAN).max() < 0.03
    assert told.right.mean() == pytest.approx(fixed.right.mean(), abs=0.01)
    assert 0 < told.sent.mean() - fixed.sent.mean() < SHARE + 0.05


def test_where_exits_are_surer_than_they_may_be_agreement_is_held() -> None:
    """What fixed thresholds lose against calibration, adaptive ones lose less than half of."""
    before = _run(None, _draw(20_000, 2)).right.mean()
    drifted = _draw(12_000, 3, agreeing=0.6, worst=7.0)
    fixed, told = _run(None, drifted), _run(_adaptive(), drifted)
    learnt = slice(4000, None)
    assert before - fixed.right[learnt].mean() > 0.05
    assert before - told.right[learnt].mean() < 0.5 * (before - fixed.right[learnt].mean())
    assert told.thresholds[-1][0] > PLAN[0] + 0.05
    assert told.sent[learnt].mean() > fixed.sent[learnt].mean() + SHARE


def test_where_exits_have_become_better_more_samples_leave() -> None:
    easier = _draw(12_000, 4, agreeing=0.9, worst=2.0)
    fixed, told = _run(None, easier), _run(_adaptive(), easier)
    learnt = slice(4000, None)
    assert (told.thresholds[learnt].mean(axis=0) < PLAN).all()
    assert told.sent[learnt].mean() < fixed.sent[learnt].mean()
    assert told.right[learnt].mean() > 0.95


def test_only_sentinels_find_out_what_goes_wrong_above_the_threshold() -> None:
    """Errors that are all above the thresholds: next to none of the unsure samples shows them."""
    dice = np.random.default_rng(5)
    agrees = dice.random((2, 8000)) < 0.8
    sure = Drawn(np.where(agrees, dice.beta(20, 2, (2, 8000)), dice.beta(18, 2, (2, 8000))), agrees)
    assert _run(None, sure).sent.mean() < 0.02
    blind, seeing = _run(_adaptive(share=1e-9), sure), _run(_adaptive(), sure)
    assert seeing.right[4000:].mean() > blind.right[4000:].mean() + 0.05


def test_the_same_dice_give_the_same_log_and_others_another() -> None:
    drifted = _draw(3000, 6, worst=7.0)
    once, again, other = (_run(_adaptive(seed), drifted) for seed in (1, 1, 2))
    np.testing.assert_array_equal(once.thresholds, again.thresholds)
    np.testing.assert_array_equal(once.sent, again.sent)
    assert (once.thresholds != other.thresholds).any()


def test_the_log_of_a_stream_that_drifts_is_this_one() -> None:
    told = _run(_adaptive(), _draw(4000, 7, agreeing=0.6, worst=7.0))
    assert told.thresholds[::1000].round(3).tolist() == [
        [0.8, 0.7],
        [0.953, 0.897],
        [0.953, 0.907],
        [0.948, 0.917],
    ]
    assert np.flatnonzero(told.sent)[:8].tolist() == [3, 5, 8, 13, 17, 20, 28, 30]


def test_a_new_plan_goes_on_with_what_is_known() -> None:
    rule = _adaptive()
    _run(rule, _draw(8000, 8, agreeing=0.6, worst=7.0))
    moved = rule.thresholds((0.85, 0.75))
    assert moved[0] > 0.85
    assert rule.thresholds((CLOSED, 0.75)) == (CLOSED, moved[1])
    assert rule.thresholds((0.85,)) == moved[:1]


def test_without_known_answers_nothing_moves() -> None:
    rule = _adaptive()
    for _ in range(500):
        rule.observe([math.nan, math.nan], [True, False], sentinel=True)
        rule.observe([], [], sentinel=False)
    assert rule.thresholds(PLAN) == PLAN


def test_an_exit_that_always_agrees_opens_and_one_that_never_does_closes() -> None:
    drawn = _draw(6000, 9)
    always = Drawn(drawn.scores, np.ones_like(drawn.agrees))
    never = Drawn(drawn.scores, np.zeros_like(drawn.agrees))
    assert (_run(_adaptive(), always).thresholds[-1] < np.array(PLAN) - 0.1).all()
    told = _run(_adaptive(), never)
    assert told.thresholds[-1].tolist() == [WATCHED, WATCHED]
    assert told.sent[-1000:].all()  # so all are known, and it can open again
    again = _adaptive()
    _run(again, never)
    assert (_run(again, _draw(30_000, 10)).thresholds[-1] < 1).all()


def test_an_exit_of_which_calibration_says_too_little_keeps_its_thresholds() -> None:
    calibration = _draw(2000, 100)
    agrees = np.stack([calibration.agrees[0], np.ones(2000, bool)])
    rule = AdaptiveThresholds(calibration.scores, agrees, SHARE, np.random.default_rng(0))
    told = _run(rule, _draw(4000, 11, agreeing=0.6, worst=7.0))
    assert (told.thresholds[:, 1] == PLAN[1]).all()
    assert told.thresholds[-1, 0] != PLAN[0]


def test_a_bundle_without_exits_has_nothing_to_move() -> None:
    nothing = np.zeros((0, 50))
    rule = AdaptiveThresholds(nothing, nothing > 0, SHARE, np.random.default_rng(0))
    rule.observe([], [], sentinel=False)
    assert rule.thresholds(()) == ()


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, math.nan])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="sentinels"):
        _adaptive(share=share)

"""Outcomes: what they say of thresholds, and which arrays are refused."""

from __future__ import annotations

import pkgutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import offramp.guarantee as package
from offramp.bundle import Bundle
from offramp.calibration import load_calibration, score_exits
from offramp.errors import ConfigError, InputError
from offramp.exits import first_exit
from offramp.exits.fitted import load_policy
from offramp.guarantee import CLOSED, Outcomes, recorded_outcomes

OUTCOMES = Outcomes(
    scores=np.array([[0.9, 0.2, 0.2, 0.9], [0.1, 0.8, 0.1, 0.9]]),
    exit_right=np.array([[True, False, False, False], [False, True, True, False]]),
    final_right=np.array([True, True, False, True]),
    costs=np.array([1.0, 2.0, 4.0]),
    whole_right=np.array([True, False, False, True]),
)


def test_a_sample_leaves_where_the_device_lets_it_leave() -> None:
    dice = np.random.default_rng(0)
    scores, right = dice.random((4, 500)).round(1), dice.random((5, 500)) < 0.5
    outcomes = Outcomes(scores, right[:-1], right[-1], np.arange(5.0), right[-1])
    for thresholds in dice.choice([0.0, 0.3, 0.7, 0.9, 1.0, CLOSED], (50, 4)):
        left = first_exit(list(scores), thresholds.tolist())
        np.testing.assert_array_equal(outcomes.places(thresholds), left)


def test_thresholds_decide_place_cost_and_loss() -> None:
    thresholds = np.array([0.5, 0.5])
    assert OUTCOMES.places(thresholds).tolist() == [0, 1, 2, 0]
    assert OUTCOMES.answers_right(thresholds).tolist() == [True, True, False, False]
    assert OUTCOMES.losses(thresholds).tolist() == [0, -1, 0, 1]
    assert OUTCOMES.mean_cost(thresholds) == (1 + 2 + 4 + 1) / 4
    closed = np.full(2, CLOSED)
    assert OUTCOMES.losses(closed).tolist() == [0, -1, 0, 0]
    assert OUTCOMES.mean_cost(closed) == 4
    both = np.stack([thresholds, closed])
    assert OUTCOMES.places(both).tolist() == [[0, 1, 2, 0], [2, 2, 2, 2]]
    assert OUTCOMES.losses(both).tolist() == [[0, -1, 0, 1], [0, -1, 0, 0]]
    assert OUTCOMES.mean_cost(both).tolist() == [2.0, 4.0]
    some = OUTCOMES.select(np.array([3, 1]))
    assert some.losses(thresholds).tolist() == [1, -1]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("scores", np.zeros((0, 4)), "at least one exit and one sample"),
        ("scores", np.zeros((2, 0)), "at least one exit and one sample"),
        ("scores", np.zeros(4), "at least one exit and one sample"),
        ("scores", np.array([[0.5] * 4, [0.5, 0.5, np.nan, 0.5]]), "exit 1.*such as nan"),
        ("scores", np.array([[0.5, 1.5, 0.5, 0.5], [0.5] * 4]), "exit 0.*such as 1.5"),
        ("exit_right", np.zeros((3, 4), bool), "exit_right is bool of shape"),
        ("exit_right", np.zeros((2, 4)), "exit_right is float64"),
        ("final_right", np.zeros(3, bool), "final_right is bool of shape"),
        ("whole_right", np.zeros((1, 4), bool), "whole_right is bool of shape"),
        ("costs", np.array([1.0, 2.0]), "give 3 numbers"),
        ("costs", np.array([1.0, -2.0, 3.0]), "give 3 numbers"),
        ("costs", np.array([1.0, np.inf, 3.0]), "give 3 numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(field: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(OUTCOMES, **{field: value})


def test_the_outcomes_of_a_bundle_are_those_that_were_recorded(embedded: Bundle) -> None:
    calibration, manifest = load_calibration(embedded), embedded.manifest
    scores = score_exits(manifest, calibration, load_policy(embedded))
    whole = recorded_outcomes(manifest, calibration, scores)
    closed = np.full(3, CLOSED)
    assert whole.answers_right(closed).mean() == pytest.approx(calibration.accuracy)
    assert (whole.losses(closed) == 0).all()
    macs = sum(spec.macs for spec in (*manifest.segments, *manifest.exits))
    assert whole.mean_cost(closed) == macs
    place = next(place for place in calibration.levels if place[0] == 4)
    split = recorded_outcomes(manifest, calibration, scores, place)
    assert split.exits == 2
    answers = calibration.answers[place] == calibration.labels
    np.testing.assert_array_equal(split.answers_right(closed[:2]), answers)
    first = sum(segment.macs for segment in manifest.segments[:2]) + manifest.exits[0].macs
    second = sum(segment.macs for segment in manifest.segments[:4])
    both = manifest.exits[0].macs + manifest.exits[1].macs
    through = sum(segment.macs for segment in manifest.segments)
    assert split.costs.tolist() == [first, second + both, through + both]
    assert split.scores.tolist() == whole.scores[:2].tolist()


def test_a_place_without_records_is_refused(embedded: Bundle) -> None:
    calibration, scores = load_calibration(embedded), np.zeros((3, 1000))
    with pytest.raises(ConfigError, match="cut 4 at level 'none'"):
        recorded_outcomes(embedded.manifest, calibration, scores, (4, "none"))


def test_before_all_exits_nobody_leaves(embedded: Bundle) -> None:
    calibration, scores = load_calibration(embedded), np.zeros((3, 1000))
    place = next(place for place in calibration.levels if place[0] == 1)
    outcomes = recorded_outcomes(embedded.manifest, calibration, scores, place)
    assert outcomes.exits == 1
    answers = calibration.answers[place] == calibration.labels
    np.testing.assert_array_equal(outcomes.answers_right(np.array([CLOSED])), answers)
    macs = sum(segment.macs for segment in embedded.manifest.segments)
    assert outcomes.mean_cost(np.array([CLOSED])) == macs


def test_a_closed_exit_saves_its_head_for_those_who_go_on() -> None:
    scores = np.array([[0.9, 0.1, 0.1], [0.2, 0.8, 0.1]])
    right = np.ones((3, 3), bool)
    outcomes = Outcomes(
        scores, right[:2], right[2], np.array([2.0, 5.0, 9.0]), right[2], np.array([0.5, 1.0])
    )
    under = outcomes.costs_under(np.array([[0.5, 0.5], [CLOSED, 0.5], [CLOSED, CLOSED]]))
    np.testing.assert_array_equal(under, [[2.0, 5.0, 9.0], [2.0, 4.5, 8.5], [2.0, 4.5, 7.5]])
    means = outcomes.mean_cost(np.array([[0.5, 0.5], [CLOSED, 0.5], [CLOSED, CLOSED]]))
    np.testing.assert_allclose(means, [16 / 3, 21.5 / 3, 7.5])
    np.testing.assert_allclose(outcomes.sent_share(np.array([0.5, 0.5])), 1 / 3)


def test_a_model_that_ends_at_an_exit() -> None:
    scores, right = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[True, False], [False, True]])
    whole, costs = np.array([True, True]), np.array([2.0, 5.0, 9.0])
    outcomes = Outcomes(scores, right, whole, costs, whole, np.array([0.5, 1.0]))
    second = outcomes.ending_at(1)
    assert (second.exits, second.costs.tolist()) == (1, [2.0, 5.0])
    np.testing.assert_array_equal(second.right_under(np.zeros(1)), right)
    assert second.mean_cost(np.array([CLOSED])) == 4.5
    first = outcomes.ending_at(0)
    assert first.costs.tolist() == [2.0, 2.0]
    np.testing.assert_array_equal(first.answers_right(np.array([CLOSED])), right[0])
    np.testing.assert_array_equal(first.whole_right, whole)


def test_heads_must_fit_the_exits() -> None:
    scores, right = np.array([[0.9, 0.1]]), np.ones((1, 2), bool)
    with pytest.raises(InputError, match="1 exits and 2 costs of their heads"):
        Outcomes(scores, right, right[0], np.arange(2.0), right[0], np.zeros(2))


def test_what_the_package_says_it_has_is_there() -> None:
    assert sorted(package.__all__) == sorted(set(package.__all__))
    assert all(hasattr(package, name) for name in package.__all__)
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert modules == {
        *("adaptive", "beta_mixture", "budget", "certificate", "drift", "frontier"),
        *("measures", "outcomes", "p_values", "path", "plan_frontier", "plans", "recorded"),
        *("calibrating", "device_costs", "refusals", "tables", "wish"),  # `offramp calibrate`
        "later_exits",
    }

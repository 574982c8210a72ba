"""Certificates: how often a promise is broken, over many draws of calibration samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from offramp.errors import ConfigError, InputError
from offramp.guarantee import (
    CLOSED,
    P_VALUES,
    PATHS,
    Certificate,
    Method,
    Outcomes,
    Promise,
    certify,
    certify_each,
    part_samples,
    samples_needed,
    trace_grid,
)

Draw = Callable[[int, int, int], Outcomes]
SPLITS = 200


def _allowed(promise: Promise) -> int:
    """Return how many of 200 fair draws may break the promise but for one case in a thousand."""
    return int(binom.ppf(0.999, SPLITS, 1 - promise.confidence))


def _draws(population: Outcomes, samples: int) -> Iterator[tuple[Outcomes, np.random.Generator]]:
    """Yield calibration sets, each sample drawn anew: the population's mean is the true risk."""
    for seed in range(SPLITS):
        dice = np.random.default_rng(seed)
        yield population.select(dice.integers(0, population.samples, samples)), dice


def _drop(population: Outcomes, certificate: Certificate | None) -> float:
    assert certificate is not None
    return float(population.losses(certificate.thresholds).mean())


def test_the_promise_is_broken_no_more_often_than_promised(draw_outcomes: Draw) -> None:
    population = draw_outcomes(2, 5_000, 0)
    promise = Promise(0.02, 0.9)
    drops, costs = [], []
    for calibration, dice in _draws(population, 600):
        found = certify(calibration, promise, dice)
        drops.append(_drop(population, found))
        costs.append(found.mean_cost if found else np.nan)
    assert (np.array(drops) > promise.max_accuracy_drop).sum() <= _allowed(promise)
    assert np.mean(costs) < 0.85 * population.costs[-1]  # and something is gained
    assert np.mean(drops) > 0.1 * promise.max_accuracy_drop


def test_thresholds_chosen_and_measured_on_the_same_samples_break_it(draw_outcomes: Draw) -> None:
    """What the tests above can see: the cheapest vector that keeps to the drop, as measured."""
    population, broken = draw_outcomes(2, 5_000, 0), 0
    for calibration, _ in _draws(population, 600):
        frontier = trace_grid(calibration, most_vectors=3000)
        within = frontier.accuracy >= calibration.whole_right.mean() - 0.02
        broken += population.losses(frontier.thresholds[within][0]).mean() > 0.02
    assert broken > SPLITS / 3


def test_on_the_embedded_bundle_the_promise_holds_on_the_samples_left_out(
    embedded_outcomes: Outcomes,
) -> None:
    """Of 1,000 samples 600 certify and 400 judge, which by their own luck may say otherwise."""
    promise, broken, costs = Promise(0.03, 0.9), 0, []
    for seed in range(SPLITS):
        dice = np.random.default_rng(seed)
        order = dice.permutation(embedded_outcomes.samples)
        judges = embedded_outcomes.select(order[600:])
        found = certify(embedded_outcomes.select(order[:600]), promise, dice)
        assert found is not None
        broken += judges.losses(found.thresholds).mean() > promise.max_accuracy_drop
        costs.append(judges.mean_cost(found.thresholds))
    assert broken <= _allowed(promise)
    assert np.mean(costs) < 0.75 * embedded_outcomes.costs[-1]


def test_all_places_hold_at_once(draw_outcomes: Draw) -> None:
    """The chance that any of three is broken is what is promised."""
    population = draw_outcomes(1, 20_000, 3)
    dice = np.random.default_rng(8)
    places = {
        level: replace(
            population, final_right=population.final_right & (dice.random(20_000) > lost)
        )
        for level, lost in {"lossless": 0.0, "fine": 0.002, "coarse": 0.005}.items()
    }
    promise, broken = Promise(0.03, 0.8), 0
    for seed in range(SPLITS):
        dice = np.random.default_rng(seed)
        rows = dice.integers(0, 20_000, 500)
        drawn = {level: outcomes.select(rows) for level, outcomes in places.items()}
        found = certify_each(drawn, promise, part_samples(500, dice))
        assert "lossless" in found
        broken += any(_drop(places[level], found[level]) > 0.03 for level in found)
    assert broken <= _allowed(promise)


def test_a_place_that_loses_too_much_gets_no_certificate(draw_outcomes: Draw) -> None:
    outcomes = draw_outcomes(2, 2_000, 1)
    wrong = replace(outcomes, final_right=np.zeros(2_000, bool))
    dice = np.random.default_rng(0)
    assert certify(wrong, Promise(0.02), dice) is None
    parts = part_samples(2_000, dice)
    found = certify_each({"good": outcomes, "bad": wrong}, Promise(0.02), parts)
    assert list(found) == ["good"]


def test_a_coarse_codec_is_mended_by_exits(draw_outcomes: Draw) -> None:
    """With closed exits the promise fails; where sure samples do not cross the codec, it holds."""
    outcomes = draw_outcomes(1, 6_000, 1)
    answers = outcomes.whole_right.copy()
    sure = np.flatnonzero(outcomes.scores[0] > 0.9)
    answers[sure[::5]] = False  # the codec harms samples that the exit would answer
    lossy = replace(outcomes, final_right=answers)
    assert lossy.losses(np.array([CLOSED])).mean() > 0.02
    found = certify(lossy, Promise(0.02), np.random.default_rng(0))
    assert found is not None
    assert found.accuracy_drop < 0.02


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the path three vectors of falling cost, and says which p-values they have."""

    def put(*values: float) -> None:
        path = np.array([[0.9], [0.5], [0.1]])
        monkeypatch.setitem(PATHS, "ray", lambda *given: path)  # type: ignore[index]
        none = np.zeros(1)  # of no losses, by which the samples needed are counted
        said = lambda worse, *given: np.array(values) if len(worse) == 3 else none  # noqa: E731
        monkeypatch.setitem(P_VALUES, "either", said)  # type: ignore[index]

    return put


@pytest.mark.parametrize(
    ("values", "places", "passed"),
    [
        ((0.001, 0.06, 0.001), 1, 1),  # it stops at the first failure
        ((0.06, 0.001, 0.001), 1, 0),
        ((0.001, 0.0499, 0.0501), 1, 2),  # at delta, and not at twice delta
        ((0.001, 0.0249, 0.0251), 2, 2),  # at the place's share of it
        ((0.001, 0.0124, 0.0126), 4, 2),
        ((0.001, 0.0126, 0.001), 4, 1),
        ((0.001, 0.002, 0.003), 4, 3),
    ],
)
def test_a_path_is_followed_as_long_as_p_values_are_within_a_places_share(
    values: tuple[float, ...],
    places: int,
    passed: int,
    script: Callable[..., None],
    draw_outcomes: Draw,
) -> None:
    script(*values)
    outcomes, promise = draw_outcomes(1, 100, 0), Promise(0.02, 0.95)
    parts = part_samples(100, np.random.default_rng(0))
    found = certify_each(dict.fromkeys(range(places), outcomes), promise, parts)
    assert [one.passed for one in found.values()] == [passed] * places * (passed > 0)
    for one in found.values():
        assert one.thresholds.tolist() == [[0.9, 0.5, 0.1][passed - 1]]
        assert one.p_value == values[passed - 1]
    if places == 1:
        alone = certify(outcomes, promise, np.random.default_rng(0))
        assert (alone.passed if alone else 0) == passed


@pytest.mark.parametrize("count", [1, 3, 10])
def test_only_the_samples_that_test_say_what_passes(count: int, draw_outcomes: Draw) -> None:
    outcomes, promise = draw_outcomes(2, 3_000, 1), Promise(0.03, 0.9)
    dice = np.random.default_rng(0)
    places = {
        at: replace(outcomes, final_right=outcomes.final_right & (dice.random(3_000) > at / 2e3))
        for at in range(count)
    }
    parts = part_samples(3_000, np.random.default_rng(0))
    found = certify_each(places, promise, parts)
    assert 0 in found
    for at, one in found.items():
        losses = places[at].select(parts[1]).losses(one.thresholds)
        counts = np.array([(losses > 0).sum()]), np.array([(losses < 0).sum()])
        assert one.samples == len(parts[1]) == len(losses) == 2_100
        assert one.accuracy_drop == losses.mean()
        assert one.p_value == P_VALUES["either"](*counts, 2_100, 0.03)[0]
        assert one.p_value <= 0.1 / count


def test_samples_that_a_policy_has_learnt_from_count_among_those_needed() -> None:
    """Three tenths of all learn, three tenths of the others choose, and the rest tests."""
    promise = Promise(0.05, 0.9)
    needed = samples_needed(promise.shared(3), learns=True)
    for given in (needed, needed - 1):
        learnt = int(given * 0.3)
        right = np.ones(given - learnt, bool)
        scores = np.linspace(0, 1, given - learnt)[None]
        perfect = Outcomes(scores, right[None], right, np.array([1.0, 2.0]), right)
        parts, places = part_samples(len(right), np.random.default_rng(0)), range(3)
        if given == needed:
            found = certify_each(dict.fromkeys(places, perfect), promise, parts, learnt=learnt)
            assert len(found) == 3
        else:
            with pytest.raises(InputError, match=rf"^{given} calibration.* at least {needed}\b"):
                certify_each(dict.fromkeys(places, perfect), promise, parts, learnt=learnt)


@pytest.mark.parametrize("p_value", P_VALUES)
@pytest.mark.parametrize("promise", [Promise(0.01), Promise(0.05, 0.9), Promise(0.3, 0.9)])
def test_as_many_samples_as_needed_are_enough_and_one_fewer_is_not(
    p_value: str, promise: Promise
) -> None:
    needed = samples_needed(promise, p_value)

    def perfect(samples: int) -> Outcomes:
        right = np.ones(samples, bool)
        scores = np.linspace(0, 1, samples)[None]
        return Outcomes(scores, right[None], right, np.array([1.0, 2.0]), right)

    dice, method = np.random.default_rng(0), Method(p_value)
    found = certify(perfect(needed), promise, dice, method)
    assert found is not None
    assert found.mean_cost == 1.0
    with pytest.raises(InputError, match=rf"{needed - 1} calibration samples.*least {needed}\b"):
        certify(perfect(needed - 1), promise, dice, method)


def test_how_many_samples_known_promises_need() -> None:
    """(1 - epsilon)^n <= delta from n = 299 on for 1% and 95%; three tenths more choose."""
    assert samples_needed(Promise(0.01, 0.95), "binomial") == 426
    assert 426 < samples_needed(Promise(0.01, 0.95)) < 1.1 * 426


def test_the_same_dice_give_the_same_certificate(draw_outcomes: Draw) -> None:
    outcomes = draw_outcomes(2, 1_000, 1)
    first, again = (certify(outcomes, Promise(0.02), np.random.default_rng(5)) for _ in range(2))
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(first.thresholds, again.thresholds)
    assert replace(first, thresholds=again.thresholds) == again


@pytest.mark.parametrize("path", PATHS)
def test_a_path_begins_with_closed_exits(draw_outcomes: Draw, path: str) -> None:
    vectors = PATHS[path](draw_outcomes(3, 300, 1), 0.01, 1.0)
    assert (vectors[0] == CLOSED).all()
    if path == "ray":
        assert (np.diff(vectors, axis=0) <= 0).all()
        assert (vectors[-1] < 1).any()


def test_promises_and_places_that_make_no_sense(draw_outcomes: Draw) -> None:
    for drop in (0.0, 1.0, np.nan):
        with pytest.raises(ConfigError, match="cannot be promised"):
            Promise(drop)
    for confidence in (0.0, 1.0, 95.0):
        with pytest.raises(ConfigError, match="cannot be had"):
            Promise(0.01, confidence)
    few, many = draw_outcomes(1, 900, 0), draw_outcomes(1, 1_000, 0)
    parts = part_samples(900, np.random.default_rng(0))
    for places in ({}, {1: few, 2: many}):
        with pytest.raises(ConfigError, match="all with the same"):
            certify_each(places, Promise(0.02), parts)

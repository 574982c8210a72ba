"""Fitted thresholds of later exits are what their definition says, and keep what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.bundle import Boundary, ExitSpec, Manifest, SegmentSpec
from offramp.exits.later import LaterAnswers
from offramp.exits.policy import CLOSED
from offramp.guarantee.later_exits import ALLOWANCE, CONFIDENCE, Crossed, fit_later_exits
from offramp.tensors import TensorSpec

GRID = [1 - 10 ** (-4 + 4 * at / 120) for at in range(121)]


def _manifest(heads: tuple[int, ...], before: int = 0) -> Manifest:
    """Segments of 1,000 multiply-adds with an exit behind each but the last."""
    count = len(heads) + 1
    tensors = [TensorSpec(f"t{at}", "float32", (2,)) for at in range(count + 1)]
    return Manifest(
        name="later",
        boundaries=tuple(Boundary(tensors=(tensor,)) for tensor in tensors),
        segments=tuple(
            SegmentSpec(folder=f"s{at}", macs=1000, reads=(f"t{at}",), makes=(f"t{at + 1}",))
            for at in range(count)
        ),
        exits=tuple(
            ExitSpec(
                name=f"e{at}", boundary=at + 1, tensor=f"t{at + 1}", folder=f"e{at}", macs=macs
            )
            for at, macs in enumerate(heads)
        ),
        files={},
    )


def _crossed(seed: int, exits: int, count: int, risk: float = 0.02, cut: int = 0) -> Crossed:
    """Samples whose exits err the less the surer they are; labels are 0."""
    dice = np.random.default_rng(seed)
    margins = dice.beta(2, 1, (exits, count))
    wrong = dice.random((exits, count)) < risk * (1 - margins) * 4
    end = (dice.random(count) < 0.02).astype(np.int32)
    answers = LaterAnswers(tuple(range(cut, cut + exits)), margins, wrong.astype(np.int32), end)
    before = dice.beta(2, 1, (cut, count))
    return Crossed(answers, np.zeros(count, np.int64), (end,), before)


def _leaves(crossed: Crossed, opened: list[int], threshold: float) -> list[int | None]:
    """Return the row of the exit at which each sample leaves."""
    found: list[int | None] = []
    for margins in crossed.answers.margins.T.tolist():
        sure = [row for row in opened if margins[row] >= threshold]
        found.append(sure[0] if sure else None)
    return found


def _counts(crossed: Crossed, leaves: list[int | None]) -> tuple[int, int]:
    worse = better = 0
    for at, row in enumerate(leaves):
        if row is not None:
            right = crossed.answers.classes[row, at] == crossed.labels[at]
            ends = any(end[at] == crossed.labels[at] for end in crossed.ends)
            worse += not right and ends
            better += right and not ends
    return worse, better


def _binomial(worse: int, count: int) -> float:
    return sum(
        math.comb(count, k) * ALLOWANCE**k * (1 - ALLOWANCE) ** (count - k)
        for k in range(worse + 1)
    )


def _expected(crossed: Crossed, opened: list[int]) -> float | None:
    """Return the lowest threshold by the definition, one sample after the other."""
    found = None
    for threshold in GRID:
        worse, better = _counts(crossed, _leaves(crossed, opened, threshold))
        if _binomial(worse, len(crossed.labels)) > 1 - CONFIDENCE:
            break
        found = threshold if worse <= better else found
    return found


def _mean_macs(crossed: Crossed, opened: list[int], threshold: float) -> float:
    """Return what a sample takes where a segment takes 1,000 multiply-adds and a head one."""
    segments = len(crossed.answers.exits) + 1
    spent = []
    for row in _leaves(crossed, opened, threshold):
        stop = segments if row is None else row + 1
        spent.append(1000 * stop + sum(at < stop for at in opened))
    return float(np.mean(spent))


def _worth_opening(crossed: Crossed) -> tuple[list[int], float | None]:
    """Return which exits are open by the definition, and at which threshold."""
    opened = list(range(len(crossed.answers.exits)))
    least = 0.02 * 1000 * (len(opened) + 1)
    while opened and (lowest := _expected(crossed, opened)) is not None:
        without = {w: _mean_macs(crossed, [o for o in opened if o != w], lowest) for w in opened}
        idlest = min(opened, key=lambda at: without[at])
        if without[idlest] > _mean_macs(crossed, opened, lowest) + least:
            return opened, lowest
        opened.remove(idlest)
    return [], None


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from([300, 700]))
def test_the_threshold_is_the_lowest_that_is_allowed_and_what_saves_little_is_closed(
    seed: int, exits: int, count: int
) -> None:
    crossed = _crossed(seed, exits, count)
    fitted = fit_later_exits(_manifest((1,) * exits), 0, crossed)
    opened, lowest = _worth_opening(crossed)
    if fitted is None:
        assert opened == []
        return
    assert [row for row in range(exits) if fitted.thresholds[row] != CLOSED] == opened
    (threshold,) = {t for t in fitted.thresholds if t != CLOSED}
    assert threshold == pytest.approx(lowest, abs=1e-12)
    leaves = _leaves(crossed, opened, threshold)
    assert (fitted.worse, fitted.better) == _counts(crossed, leaves)


def test_too_few_samples_open_no_exit() -> None:
    perfect = _crossed(1, 1, 597, risk=0.0)
    assert fit_later_exits(_manifest((1,)), 0, perfect) is None
    assert fit_later_exits(_manifest((1,)), 0, _crossed(1, 1, 598, risk=0.0)) is not None


def test_the_end_counts_as_right_alone_or_together_with_an_exit() -> None:
    count = 700
    margins, ones = np.full((1, count), 0.9), np.ones((1, count), np.int32)
    labels = np.zeros(count, np.int64)
    always_wrong, always_right = np.ones(count, np.int32), np.zeros(count, np.int32)
    answers = LaterAnswers((0,), margins, ones, always_wrong)
    manifest, before = _manifest((1,)), np.zeros((0, count))
    alone = fit_later_exits(manifest, 0, Crossed(answers, labels, (always_wrong,), before))
    assert alone is not None
    assert (alone.worse, alone.better) == (0, 0)
    both = fit_later_exits(
        manifest, 0, Crossed(answers, labels, (always_wrong, always_right), before)
    )
    assert both is None or both.thresholds[0] > 0.9


@pytest.mark.parametrize(("macs", "opened"), [(1, True), (500, True), (990, False), (5000, False)])
def test_an_exit_that_takes_more_than_it_saves_stays_closed(macs: int, opened: bool) -> None:
    crossed = _crossed(2, 1, 2000, risk=0.002)  # nearly all leave
    fitted = fit_later_exits(_manifest((macs,)), 0, crossed)
    assert (fitted is not None) == opened


def test_of_two_exits_the_one_that_does_not_pay_is_closed() -> None:
    fitted = fit_later_exits(_manifest((5000, 1)), 0, _crossed(2, 2, 2000, risk=0.002))
    assert fitted is not None
    assert fitted.thresholds[0] == CLOSED
    assert fitted.thresholds[1] <= 1


def test_an_exit_has_to_pay_for_what_exits_before_the_cut_leave_over() -> None:
    crossed = _crossed(3, 1, 1000, cut=1)
    manifest = _manifest((1, 50))
    assert fit_later_exits(manifest, 1, crossed) is not None
    same = Crossed(
        crossed.answers, crossed.labels, crossed.ends, before=crossed.answers.margins
    )  # all that would leave behind the cut has left before it
    assert fit_later_exits(manifest, 1, same) is None


def test_the_promise_is_kept_in_as_many_calibrations_as_are_stated() -> None:
    """Of samples of margin m a share r (1 - m) / 2 is made worse: r (1 - t)^2 / 4 in all."""
    count, runs, risk, broken = 1000, 300, 0.05, 0
    labels, before = np.zeros(count, np.int64), np.zeros((0, count))
    for seed in range(runs):
        dice = np.random.default_rng(seed)
        margins = dice.random((1, count))
        wrong = (dice.random((1, count)) < risk * (1 - margins)).astype(np.int32)
        # half of the end's answers are wrong, so that none is lost in the balance
        end = (dice.random(count) < 0.5).astype(np.int32)
        wrong = np.where(end, 0, wrong).astype(np.int32)
        crossed = Crossed(LaterAnswers((0,), margins, wrong, end), labels, (end,), before)
        fitted = fit_later_exits(_manifest((1,)), 0, crossed)
        if fitted is not None:
            broken += risk / 2 * (1 - fitted.thresholds[0]) ** 2 / 2 > ALLOWANCE
    # a share of 0.05 + 3 standard errors
    assert broken / runs <= 1 - CONFIDENCE + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert broken > 0  # else the rule would be needlessly careful

"""p-values: never too small too often, whatever the losses; every count enumerated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from offramp.guarantee import P_VALUES

LEVELS = (0.2, 0.1, 0.05, 0.01)


def _all_counts(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    worse, better = np.meshgrid(np.arange(count + 1), np.arange(count + 1), indexing="ij")
    possible = worse + better <= count
    return worse[possible], better[possible]


def _chances(
    worse: NDArray[np.int64], better: NDArray[np.int64], count: int, rates: tuple[float, float]
) -> NDArray[np.float64]:
    """Return how likely each count is if a sample is worse and better at these rates."""
    factorial = np.array([math.lgamma(n + 1) for n in range(count + 1)])
    same = count - worse - better
    logs = factorial[count] - factorial[worse] - factorial[better] - factorial[same]
    for times, rate in ((worse, rates[0]), (better, rates[1]), (same, 1 - sum(rates))):
        logs = logs + np.where(times > 0, times * np.log(max(rate, 1e-300)), 0.0)
    return np.exp(logs)


@pytest.mark.parametrize("name", P_VALUES)
@pytest.mark.parametrize("epsilon", [0.01, 0.05, 0.2])
def test_under_the_hypothesis_no_level_is_broken_too_often(name: str, epsilon: float) -> None:
    """Exactly: at its border and beyond, with few and with many samples that become better."""
    for count in (1, 40, 120):
        worse, better = _all_counts(count)
        values = P_VALUES[name](worse, better, count, epsilon)
        assert ((values >= 0) & (values <= 1)).all()
        for back in (0.0, 0.01, 0.2, (1 - epsilon) / 2):
            for beyond in (0.0, 0.02):
                rates = (min(epsilon + back + beyond, 1 - back), back)
                chances = _chances(worse, better, count, rates)
                assert chances.sum() == pytest.approx(1)
                for level in LEVELS:
                    assert chances[values <= level].sum() <= level + 1e-9


@pytest.mark.parametrize("name", P_VALUES)
def test_a_small_drop_is_seen(name: str) -> None:
    """With none worse of 1,000 a drop of 1% is refuted; with 1% worse it is not."""
    none, some = np.array([0]), np.array([10])
    assert P_VALUES[name](none, none, 1000, 0.01)[0] < 0.001
    assert P_VALUES[name](some, none, 1000, 0.01)[0] > 0.3
    many = P_VALUES[name](np.arange(100), np.zeros(100, int), 1000, 0.01)
    assert (np.diff(many) >= -1e-12).all()


def test_each_is_the_best_somewhere() -> None:
    """The exact one where nothing becomes better, betting where much does."""
    exact, bets, published = (P_VALUES[n] for n in ("binomial", "betting", "hoeffding_bentkus"))
    worse = np.arange(60)
    none, much = np.zeros(60, int), np.full(60, 20)
    assert (exact(worse, none, 3500, 0.01) <= published(worse, none, 3500, 0.01) + 1e-12).all()

    def most(p_value: object, better: NDArray[np.int64]) -> int:
        passed = p_value(worse, better, 3500, 0.01) <= 0.05  # type: ignore[operator]
        return int(np.flatnonzero(passed).max())

    assert most(exact, none) == 25
    assert most(bets, none) >= 18
    assert most(bets, much) > most(exact, much) == 25
    both = P_VALUES["either"]
    assert most(both, none) >= 24
    assert most(both, much) > 25


def test_betting_only_counts_what_the_capital_counts() -> None:
    """Sample by sample, in any order, 32 gamblers end with the capital that is inverted."""
    dice = np.random.default_rng(1)
    losses = dice.choice([-1, 0, 1], 50, p=[0.1, 0.85, 0.05])
    capital = np.ones(32)
    bets = (np.arange(32) + 0.5) / 32 / (1 - 0.1)
    for loss in losses:
        capital = capital * (1 - bets * (loss - 0.1))
    worse, better = np.array([(losses > 0).sum()]), np.array([(losses < 0).sum()])
    assert P_VALUES["betting"](worse, better, 50, 0.1)[0] == pytest.approx(
        min(1 / capital.mean(), 1)
    )
